"""Evaluates SQL over a batch: an embedded DuckDB, one thread, no access to anything outside."""

from __future__ import annotations

import threading

import duckdb
import pyarrow as pa

from schemas.distinct_names import with_distinct_names
from schemas.expressions import new_connection

_local = threading.local()


class RaisedOnRow(Exception):
    """The query raised on some row; which one isn't known."""


def evaluate(query: str, rows: pa.RecordBatch) -> pa.Table:
    """Runs ``query`` over ``rows``, which it sees as the table ``batch``, in their order.

    Raises RaisedOnRow where an expression can't be evaluated on some row. The message of
    DuckDB isn't passed on: it may hold a value.
    """
    connection = _connection()
    table = pa.Table.from_batches([rows])
    query, renamed = with_distinct_names(query, tuple(rows.schema.names))
    if renamed:
        table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    connection.register("batch", table)
    try:
        result = connection.execute(query).to_arrow_table()
        if not renamed:
            return result
        known = {new: name for name, new in renamed.items()}
        return result.rename_columns([known.get(name, name) for name in result.column_names])
    except (
        duckdb.ConversionException,
        duckdb.InvalidInputException,
        duckdb.OutOfRangeException,
        duckdb.InvalidTypeException,
    ):
        raise RaisedOnRow from None
    finally:
        connection.unregister("batch")


def _connection() -> duckdb.DuckDBPyConnection:
    """The connection of this thread: DuckDB connections can't be shared between threads."""
    connection: duckdb.DuckDBPyConnection | None = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = new_connection()
    return connection


def one_array(column: pa.ChunkedArray, kind: pa.DataType | None = None) -> pa.Array:
    """The column in one piece, cast to ``kind`` where it isn't of it."""
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    return array if kind is None or array.type == kind else array.cast(kind)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The table in one piece, also where it has no row."""
    combined = table.combine_chunks().to_batches()
    return combined[0] if combined else pa.RecordBatch.from_pylist([], schema=table.schema)


def with_column(rows: pa.RecordBatch, name: str, array: pa.Array) -> pa.RecordBatch:
    """The rows with that column, in place of one of the same name where there is one."""
    index = rows.schema.get_field_index(name)
    if index < 0:
        return rows.append_column(name, array)
    return rows.set_column(index, name, array)


def evaluate_scalar(expression: str) -> object:
    """The value of an SQL expression without columns; raises RaisedOnRow."""
    rows = pa.RecordBatch.from_pydict({"one": pa.array([1])})
    return evaluate(f"SELECT {expression} AS v FROM batch", rows).column("v")[0].as_py()
