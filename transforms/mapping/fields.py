"""Computes target fields from source columns, step by step as the specification names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import ColumnType
from schemas.violations import ORDINAL, concat_violations
from transforms.mapping.direct_fields import copy_column, direct_column
from transforms.mapping.distinct_values import compute_results
from transforms.mapping.field_violations import (
    failed_rows,
    missing_violations,
    nulled_rows,
    unmapped_warnings,
    violations_of_failures,
)
from transforms.mapping.lookup import Lookup
from transforms.model.field_maps import TableLookup
from transforms.model.field_program import FieldProgram
from transforms.sql.duckdb_engine import with_column
from transforms.sql.lost_values import NULLED, any_of, lost_columns, mark_lost


def compute_fields(
    rows: pa.RecordBatch,
    fields: Sequence[FieldProgram],
    types: dict[str, ColumnType],
    lookups: Mapping[str, Lookup],
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Computes fields and the violations of their values.

    A field that reads a failed field fails with it, without a violation of its own.

    Args:
        rows: candidates, with the columns that the fields read.
        fields: the fields.
        types: PostgreSQL types of the columns that expressions can read (``src.id``).
        lookups: the lookup tables by name.

    Returns:
        The rows with ``out.NAME`` of each field in the target's transport type (``raw.NAME``,
        text, where a translation or a reference follows) and ``bad.NAME`` (bool: it has no value
        that anything else could be judged by); and violations (VIOLATION_SCHEMA): TRANS-005 where
        an expression or a Python function raises, TRANS-002 for a value that a map lacks, DATA-003
        for one that can't be converted, DATA-001 for one that is required and missing.
    """
    violations = []
    for layer in layers_of(fields):
        rows, of_layer = _compute_layer(rows, layer, types, lookups)
        violations.append(of_layer)
    return rows, concat_violations(violations)


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
    violations: list[pa.RecordBatch] = []
    computed = []
    for field in fields:
        column = direct_column(field)
        if column is None:
            computed.append(field)
            continue
        copied, missing = copy_column(rows, field, column)
        columns |= copied
        violations.append(missing)
    results = compute_results(rows, computed, types, lookups) if computed else {}
    for field in computed:
        columns |= _result_columns(field, results)
        violations += _violations_of_results(field, rows.column(ORDINAL), results)
    computed_rows = pa.RecordBatch.from_pydict(columns)
    for field in computed:
        nulled = _nulled_rows(rows, field, results)
        if nulled is not None:
            for name in field.columns:
                computed_rows = mark_lost(computed_rows, f"out.{name}", nulled)
        if isinstance(field.map, TableLookup) and field.attributes:
            has_value = results[f"known.{field.name}"]
            lookup = lookups[field.map.table]
            computed_rows, missing = _add_attributes(computed_rows, field, has_value, lookup)
            violations.append(missing)
    return computed_rows, concat_violations(violations)


def _result_columns(field: FieldProgram, results: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    prefix = "raw" if field.is_raw else "out"
    kind = pa.string() if field.is_raw else field.target.arrow
    values = results[f"x.{field.name}"]
    # The translation takes codes by dictionary as they are.
    is_dictionary = field.translation is not None and pa.types.is_dictionary(values.type)
    return {
        f"{prefix}.{field.name}": values if is_dictionary else _cast(values, kind),
        f"bad.{field.name}": failed_rows(field, _failures(field, results)),
    }


def _violations_of_results(
    field: FieldProgram, ordinals: pa.Array, results: Mapping[str, pa.Array]
) -> Iterator[pa.RecordBatch]:
    yield from violations_of_failures(field, ordinals, _failures(field, results))
    if field.value_map is not None:
        warnings = unmapped_warnings(field, ordinals, results[f"lost.{field.name}"])
        if warnings is not None:
            yield warnings


def _nulled_rows(
    rows: pa.RecordBatch, field: FieldProgram, results: Mapping[str, pa.Array]
) -> pa.Array | None:
    """For which rows a field is NULL after an error, or rests on one that is; None: for none."""
    masks = [any_of(rows, lost_columns(rows.schema.names, field.reads, NULLED))]
    if field.nulls_errors:
        masks.append(nulled_rows(_failures(field, results)))
    masks = [mask for mask in masks if pc.any(mask).as_py()]
    return reduce(pc.or_, masks) if masks else None


def _add_attributes(
    rows: pa.RecordBatch, field: FieldProgram, has_value: pa.BooleanArray, lookup: Lookup
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Adds the columns of ``into``, NULL where the map has no value; and DATA-001 for required
    ones."""
    violations = []
    for one in field.attributes:
        column = one.column
        text = pc.if_else(has_value, lookup.attributes[one.attribute], pa.scalar(None, pa.string()))
        rows = with_column(rows, f"out.{column}", text.cast(one.type.arrow))
        rows = with_column(rows, f"bad.{column}", rows.column(f"bad.{field.name}"))
        if one.required:
            violations.append(missing_violations(rows, f"{column}.required", column))
    return rows, concat_violations(violations)


def _failures(field: FieldProgram, results: Mapping[str, pa.Array]) -> pa.Array:
    return _cast(results[f"fail.{field.name}"], pa.string())


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array if array.type == kind else array.cast(kind)
