"""Computes fields of one source column once for each distinct value, where values repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from schemas.column_types import ColumnType
from transforms.mapping.field_results import field_results
from transforms.mapping.lookup import Lookup
from transforms.model.field_origins import SourceColumn
from transforms.model.field_program import FieldProgram
from transforms.sql.duckdb_engine import one_array
from transforms.sql.lost_values import LOST

_SAMPLE = 16_384
"""Rows that are looked at to guess how often values repeat; it takes half a millisecond."""


def compute_results(
    rows: pa.RecordBatch,
    fields: Sequence[FieldProgram],
    types: dict[str, ColumnType],
    lookups: Mapping[str, Lookup],
) -> dict[str, pa.Array]:
    """Computes the results of fields, as ``field_results`` gives them, for each row.

    Args:
        rows: candidates.
        fields: fields that don't read each other.
        types: PostgreSQL types of the columns that expressions can read.
        lookups: the lookup tables by name.

    Returns:
        The columns ``x.NAME``, ``fail.NAME`` and, for maps, ``lost.NAME`` and ``known.NAME``.
        Codes to be translated can be dictionaries.
    """
    results: dict[str, pa.Array] = {}
    remaining = list(fields)
    for column, group in _by_single_column(fields).items():
        # A lost value is no NULL of the column.
        lost = f"{LOST}{column}" in rows.schema.names
        encoded = None if lost else _encode(rows.column(column))
        if encoded is None:
            continue
        distinct = pa.RecordBatch.from_arrays([encoded.dictionary], [column])
        table = field_results(distinct, group, types, lookups)
        codes = {f"x.{field.name}" for field in group if field.translation is not None}
        for name in table.column_names:
            values = one_array(table.column(name))
            results[name] = _for_all_rows(values, encoded.indices, name in codes)
        remaining = [field for field in remaining if field not in group]
    if remaining:
        table = field_results(rows, remaining, types, lookups)
        results |= {name: one_array(table.column(name)) for name in table.column_names}
    return results


def _for_all_rows(distinct: pa.Array, indices: pa.Array, by_dictionary: bool) -> pa.Array:
    """The results of distinct values for all rows, for codes still by dictionary."""
    if distinct.null_count == len(distinct):
        return pa.nulls(len(indices), distinct.type)
    if by_dictionary and pa.types.is_string(distinct.type):
        return pa.DictionaryArray.from_arrays(indices, distinct)
    return distinct.take(indices)


def _by_single_column(fields: Sequence[FieldProgram]) -> dict[str, list[FieldProgram]]:
    """The fields whose steps start from one source column each, by that column."""
    groups: dict[str, list[FieldProgram]] = {}
    for field in fields:
        alone = not field.key_parts and not field.fields_read
        if isinstance(field.origin, SourceColumn) and not field.calls_python and alone:
            groups.setdefault(field.origin.column, []).append(field)
    return groups


def _encode(values: pa.Array) -> pa.DictionaryArray | None:
    """The values by dictionary where that spares work: codes, dates and flags repeat.

    A hospital's 100,000 diagnoses have some thousands of codes; each is computed once.
    """
    if not pa.types.is_string(values.type):
        return None
    sample = values.slice(0, _SAMPLE)
    if len(sample) < _SAMPLE or len(sample.dictionary_encode().dictionary) > _SAMPLE * 0.6:
        return None
    return values.dictionary_encode(null_encoding="encode")
