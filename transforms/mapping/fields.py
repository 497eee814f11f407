"""Computes target fields from source columns, step by step as the specification names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from schemas.blanks import without_blanks
from schemas.column_types import ColumnType
from schemas.conversions import AS_WRITTEN, REASONS, convert
from schemas.errors import ErrorCode
from schemas.specification.policies import UnmappedAction
from schemas.violations import ORDINAL, Violation, concat_violations, violations_of
from transforms.mapping.field_results import field_results
from transforms.mapping.field_steps import MISSING, UNMAPPED
from transforms.mapping.lookup import Lookup
from transforms.model.field_maps import TableLookup
from transforms.model.field_origins import SourceColumn
from transforms.model.field_program import FieldProgram
from transforms.sql.duckdb_engine import one_array, with_column
from transforms.sql.lost_values import (
    LOST,
    NULLED,
    UNKNOWN,
    any_of,
    lost_columns,
    mark_lost,
)
from transforms.sql.python_functions import RAISED


def compute_fields(
    rows: pa.RecordBatch,
    fields: Sequence[FieldProgram],
    types: dict[str, ColumnType],
    lookups: Mapping[str, Lookup],
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Adds the columns of ``fields``, and says what is wrong with their values.

    ``rows`` has the columns that the fields read, ``types`` their PostgreSQL types by
    column name (``src.id``), ``lookups`` the lookup tables by name. For each field it adds
    ``out.NAME`` in the target's transport type (``raw.NAME``, text, where a translation or a
    reference follows) and ``bad.NAME`` (bool: it has no value that anything else could be judged
    by). Returns the rows and violations: TRANS-005 where an expression or a Python function
    raises, TRANS-002 for a value that a map lacks, DATA-003 for one that can't be
    converted, DATA-001 for one that is required and missing. A field that reads a failed
    field fails with it, without a violation of its own.
    """
    found = []
    for layer in layers_of(fields):
        rows, violations = _compute_layer(rows, layer, types, lookups)
        found.append(violations)
    return rows, concat_violations(found)


def layers_of(fields: Sequence[FieldProgram]) -> Iterator[list[FieldProgram]]:
    """Groups fields so that each layer reads only fields of earlier layers, or of none.

    Args:
        fields: the fields of one stage.

    Yields:
        The layers, in the order in which they can be computed.

    Raises:
        ValueError: the fields read each other in a circle, which compiling has refused.
    """
    waiting = list(fields)
    while waiting:
        names = {column for f in waiting for column in f.columns}
        ready = [f for f in waiting if not (names - {f.name}) & set(f.fields_read)]
        if not ready:
            raise ValueError("fields read each other in a circle")
        yield ready
        waiting = [f for f in waiting if f not in ready]


def _compute_layer(
    rows: pa.RecordBatch,
    fields: Sequence[FieldProgram],
    types: dict[str, ColumnType],
    lookups: Mapping[str, Lookup],
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    columns = {name: rows.column(name) for name in rows.schema.names}
    found = []
    computed = []
    for field in fields:
        column = direct_column(field)
        if column is None:
            computed.append(field)
            continue
        values, missing = _direct(rows.column(column.column), field)
        columns[f"out.{field.name}"] = values
        lost = any_of(rows, lost_columns(rows.schema.names, [column.value], UNKNOWN))
        columns[f"bad.{field.name}"] = lost
        if missing is not None:
            missing = pc.and_not(missing, lost)
            violation = Violation(ErrorCode.DATA_001, field.required_rule, field.name, MISSING)
            found.append(violations_of(rows.column(ORDINAL).filter(missing), violation))
    results = _results(rows, computed, types, lookups) if computed else {}
    for field in computed:
        prefix = "raw" if field.is_raw else "out"
        kind = pa.string() if field.is_raw else field.target.arrow
        value = results[f"x.{field.name}"]
        # The translation takes codes by dictionary as they are.
        as_is = field.translation is not None and pa.types.is_dictionary(value.type)
        columns[f"{prefix}.{field.name}"] = value if as_is else _cast(value, kind)
        failed = _cast(results[f"fail.{field.name}"], pa.string())
        columns[f"bad.{field.name}"] = (
            pa.repeat(False, len(rows))
            if failed.null_count == len(failed)
            else pc.and_(pc.is_valid(failed), pc.invert(pc.is_in(failed, _harmless(field))))
        )
        found += list(_violations(field, rows.column(ORDINAL), failed))
        values = field.value_map
        if values is not None and values.unmapped.action is UnmappedAction.SET_NULL:
            lost = results[f"lost.{field.name}"]
            violation = Violation(
                ErrorCode.TRANS_002, f"{field.name}.map", field.name, "unknown_value", warning=True
            )
            found.append(violations_of(rows.column(ORDINAL).filter(lost), violation))
    marked = rows
    rows = pa.RecordBatch.from_pydict(columns)
    for field in computed:
        nulled = _nulled(marked, field, results)
        if nulled is not None:
            for name in field.columns:
                rows = mark_lost(rows, f"out.{name}", nulled)
        if isinstance(field.map, TableLookup) and field.attributes:
            known = results[f"known.{field.name}"]
            rows, missing = _with_attributes(rows, field, known, lookups[field.map.table])
            found += missing
    return rows, concat_violations(found)


def _nulled(
    rows: pa.RecordBatch, field: FieldProgram, results: Mapping[str, pa.Array]
) -> pa.Array | None:
    """For which rows a field is NULL after an error, or rests on one that is; None: for none."""
    masks = [any_of(rows, lost_columns(rows.schema.names, field.reads, NULLED))]
    if field.nulls_errors:
        masks.append(pc.is_in(_cast(results[f"fail.{field.name}"], pa.string()), pa.array(_NULLED)))
    masks = [mask for mask in masks if pc.any(mask).as_py()]
    return reduce(pc.or_, masks) if masks else None


def _with_attributes(
    rows: pa.RecordBatch, field: FieldProgram, known: pa.BooleanArray, lookup: Lookup
) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
    """The columns of ``into``, NULL where the map has given nothing, and those that may not be."""
    found = []
    for one in field.attributes:
        column = one.column
        text = pc.if_else(known, lookup.attributes[one.attribute], pa.scalar(None, pa.string()))
        rows = with_column(rows, f"out.{column}", text.cast(one.type.arrow))
        rows = with_column(rows, f"bad.{column}", rows.column(f"bad.{field.name}"))
        if one.required:
            found.append(missing_violations(rows, f"{column}.required", column))
    return rows, found


def missing_violations(rows: pa.RecordBatch, rule: str, column: str) -> pa.RecordBatch:
    """DATA-001 for the rows in which a required column is NULL though it hasn't failed."""
    missing = pc.and_not(pc.is_null(rows.column(f"out.{column}")), rows.column(f"bad.{column}"))
    violation = Violation(ErrorCode.DATA_001, rule, column, MISSING)
    return violations_of(rows.column(ORDINAL).filter(missing), violation)


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array if array.type == kind else array.cast(kind)


# -- fields that are a column of the source as it is -------------------------------------------


def direct_column(field: FieldProgram) -> SourceColumn | None:
    """The source column that a field is unchanged, so that no query is needed for it."""
    if (
        not isinstance(field.origin, SourceColumn)
        or field.is_raw
        or field.transforms
        or field.reading != AS_WRITTEN
        or field.declared is not None
        or field.map is not None
        or field.default is not None
    ):
        return None
    kind = field.origin.type
    conversion = convert("v", kind, field.target)
    same_arrow = kind.arrow == field.target.arrow
    unchanged = same_arrow and conversion.reason is None and conversion.value == "v"
    return field.origin if unchanged else None


def _direct(values: pa.Array, field: FieldProgram) -> tuple[pa.Array, pa.Array | None]:
    """The values, blank text as NULL where that counts as missing; which are required but
    missing (None: none of them)."""
    if field.origin.type.is_textual and field.blank_is_missing:
        values = without_blanks(values)
    if field.required and values.null_count:
        return values, pc.is_null(values)
    return values, None


# -- all others: values, then their steps, in one query -----------------------------------------


def _results(
    rows: pa.RecordBatch,
    fields: Sequence[FieldProgram],
    types: dict[str, ColumnType],
    lookups: Mapping[str, Lookup],
) -> dict[str, pa.Array]:
    """The columns ``x.NAME``, ``fail.NAME`` and ``lost.NAME`` of the fields."""
    found: dict[str, pa.Array] = {}
    remaining = list(fields)
    for column, group in _by_single_column(fields).items():
        # A lost value is no NULL of the column.
        lost = f"{LOST}{column}" in rows.schema.names
        encoded = None if lost else _encoded(rows.column(column))
        if encoded is not None:
            distinct = pa.RecordBatch.from_arrays([encoded.dictionary], [column])
            results = field_results(distinct, group, types, lookups)
            codes = {f"x.{field.name}" for field in group if field.translation is not None}
            for name in results.column_names:
                found[name] = _spread(
                    one_array(results.column(name)), encoded.indices, name in codes
                )
            remaining = [field for field in remaining if field not in group]
    if remaining:
        results = field_results(rows, remaining, types, lookups)
        found |= {name: one_array(results.column(name)) for name in results.column_names}
    return found


def _spread(distinct: pa.Array, indices: pa.Array, by_dictionary: bool) -> pa.Array:
    """The results of distinct values for all rows, for codes still by dictionary."""
    if distinct.null_count == len(distinct):
        return pa.nulls(len(indices), distinct.type)
    if by_dictionary and pa.types.is_string(distinct.type):
        return pa.DictionaryArray.from_arrays(indices, distinct)
    return distinct.take(indices)


_SAMPLE = 16_384
"""Rows that are looked at to guess how often values repeat; it takes half a millisecond."""


def _by_single_column(fields: Sequence[FieldProgram]) -> dict[str, list[FieldProgram]]:
    """The fields whose steps start from one source column each, by that column."""
    groups: dict[str, list[FieldProgram]] = {}
    for field in fields:
        alone = not field.key_parts and not field.fields_read
        if isinstance(field.origin, SourceColumn) and not field.calls_python and alone:
            groups.setdefault(field.origin.column, []).append(field)
    return groups


def _encoded(values: pa.Array) -> pa.DictionaryArray | None:
    """The values by dictionary where that spares work: codes, dates and flags repeat.

    A hospital's 100,000 diagnoses have some thousands of codes; each is computed once.
    """
    if not pa.types.is_string(values.type):
        return None
    sample = values.slice(0, _SAMPLE)
    if len(sample) < _SAMPLE or len(sample.dictionary_encode().dictionary) > _SAMPLE * 0.6:
        return None
    return values.dictionary_encode(null_encoding="encode")


# -- violations -----------------------------------------------------------------------------------


def _violations(
    field: FieldProgram, ordinals: pa.Array, failed: pa.Array
) -> Iterator[pa.RecordBatch]:
    if failed.null_count == len(failed):
        return
    for reason in pc.unique(failed).to_pylist():
        violation = None if reason is None else violation_of_failure(field, reason)
        if violation is not None:
            yield violations_of(ordinals.filter(pc.equal(failed, reason)), violation)


_NULLED = (*REASONS, RAISED)
"""Failures after which ``on_error: set_null`` writes NULL."""


def _harmless(field: FieldProgram) -> pa.Array:
    """Failures of a field after which it is NULL, as if it had been missing."""
    return pa.array([MISSING, *(_NULLED if field.nulls_errors else ())], pa.string())


def violation_of_failure(field: FieldProgram, failure: str) -> Violation | None:
    """The code and rule of a failure; None where another field's violation stands for it."""
    if failure == RAISED:
        rule = f"{field.name}.sql"
        return Violation(ErrorCode.TRANS_005, rule, field.name, RAISED, field.nulls_errors)
    if failure == UNMAPPED:
        return Violation(ErrorCode.TRANS_002, f"{field.name}.map", field.name, "unknown_value")
    if failure == MISSING:
        return Violation(ErrorCode.DATA_001, field.required_rule, field.name, MISSING)
    if failure in REASONS:
        rule = f"{field.name}.type"
        return Violation(ErrorCode.DATA_003, rule, field.name, failure, field.nulls_errors)
    return None
