"""Runs the SQL of fields over a batch; what isn't SQL (maps, Python) comes between two queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from schemas.column_types import ColumnType
from transforms.mapping.field_steps import keys_query, part_prefixes, steps_query, values_query
from transforms.mapping.lookup import Lookup, look_up
from transforms.model.field_program import FieldProgram
from transforms.sql.duckdb_engine import RaisedOnRow, evaluate_each, one_batch
from transforms.sql.python_functions import run_python_functions


def field_results(
    rows: pa.RecordBatch,
    fields: Sequence[FieldProgram],
    types: dict[str, ColumnType],
    lookups: Mapping[str, Lookup],
) -> pa.Table:
    """Computes fields that don't read each other.

    Args:
        rows: candidates, with the columns that the fields read.
        fields: the fields.
        types: PostgreSQL types of the columns that expressions can read.
        lookups: the lookup tables by name.

    Returns:
        For each field ``x.NAME`` (its value), ``fail.NAME`` (the failure, or NULL) and, for maps,
        ``lost.NAME`` (bool: the map lacks the value).
    """
    results: dict[str, pa.ChunkedArray] = {}
    for looked_up in (False, True):
        group = [field for field in fields if (field.lookup is not None) is looked_up]
        if group:
            table = (
                _through_lookups(rows, group, types, lookups)
                if looked_up
                else _through_steps(rows, group, types)
            )
            results |= {name: table.column(name) for name in table.column_names}
    return pa.table(results)


def _through_steps(
    rows: pa.RecordBatch, fields: Sequence[FieldProgram], types: dict[str, ColumnType]
) -> pa.Table:
    if _calls_python(fields):
        return evaluate_each(steps_query(fields, "batch"), _after_python(rows, fields, types))
    names = tuple(rows.schema.names)
    return _evaluate(
        rows,
        lambda guarded: steps_query(fields, f"({values_query(fields, names, types, guarded)})"),
    )


def _through_lookups(
    rows: pa.RecordBatch,
    fields: Sequence[FieldProgram],
    types: dict[str, ColumnType],
    lookups: Mapping[str, Lookup],
) -> pa.Table:
    """As ``_through_steps``, but leaves SQL for the maps: a join would mix up the rows."""
    if _calls_python(fields):
        keys = evaluate_each(keys_query(fields, "batch"), _after_python(rows, fields, types))
    else:
        names = tuple(rows.schema.names)
        keys = _evaluate(
            rows,
            lambda guarded: keys_query(fields, f"({values_query(fields, names, types, guarded)})"),
        )
    mapped = one_batch(look_up(keys, fields, lookups))
    return evaluate_each(steps_query(fields, "batch", looked_up=True), mapped)


def _calls_python(fields: Sequence[FieldProgram]) -> bool:
    return any(field.calls_python for field in fields)


def _after_python(
    rows: pa.RecordBatch, fields: Sequence[FieldProgram], types: dict[str, ColumnType]
) -> pa.RecordBatch:
    """The values of fields, transformed where a Python function is among the transformations."""
    names = tuple(rows.schema.names)
    values = _evaluate(rows, lambda guarded: values_query(fields, names, types, guarded))
    columns = {f"{p}.{f.name}": f for f in fields for p in part_prefixes(f, "v")}
    return one_batch(run_python_functions(values, columns))


def _evaluate(rows: pa.RecordBatch, query: Callable[[bool], str]) -> pa.Table:
    """Runs the query plainly, and guarded (at twenty times the cost) where a row raises."""
    try:
        return evaluate_each(query(False), rows)
    except RaisedOnRow:
        return evaluate_each(query(True), rows, guarded=True)
