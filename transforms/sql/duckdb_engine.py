"""Evaluates SQL over a batch: an embedded DuckDB, one thread, no access to anything outside."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import duckdb
import numpy as np
import pyarrow as pa

from schemas.sql.distinct_names import with_distinct_names
from schemas.sql.embedded_duckdb import new_connection
from schemas.sql.expressions import quote

ROW = "::row"
"""The column with the place of each row, from 0; no other name of a batch begins like this."""

_local = threading.local()


class RaisedOnRow(Exception):
    """The query raised on some row; DuckDB doesn't say on which."""


class RowsMovedError(Exception):
    """A query that has to return one row for each row returned others; its values can't be used."""

    def __init__(self) -> None:
        super().__init__("an expression didn't give exactly one value for each row")


def select(columns: Iterable[str], source: str = "batch") -> str:
    """SQL that gives ``columns`` (SQL) for each row of ``source``, with the place of the row."""
    return f"SELECT {', '.join((quote(ROW), *columns))} FROM {source}"


def evaluate_each(query: str, rows: pa.RecordBatch, guarded: bool = False) -> pa.Table:
    """Evaluate a query that gives one row for each of ``rows``.

    Whatever DuckDB does, no value reaches another row: each result comes with the place of
    the row that it was made of, and the places have to be those of ``rows``, in their order.

    Args:
        query: SQL as ``select`` makes it, over the table ``batch``.
        rows: The rows.
        guarded: Whether the query catches with ``TRY`` what an expression raises.

    Returns:
        The columns of the query.

    Raises:
        RaisedOnRow: An expression can't be evaluated on some row.
        RowsMovedError: There are more or fewer rows than before, or in another order.
    """
    places = np.arange(rows.num_rows, dtype=np.int32)
    result = evaluate(query, rows.append_column(ROW, pa.array(places)), guarded)
    numbers = one_array(result.column(ROW), pa.int32())
    if numbers.null_count or not np.array_equal(numbers.to_numpy(), places):
        raise RowsMovedError
    return result.drop_columns([ROW])


def evaluate(query: str, rows: pa.RecordBatch, guarded: bool = False) -> pa.Table:
    """Run ``query`` over ``rows``, which it sees as the table ``batch``, in their order.

    Its result may have any number of rows; ``evaluate_each`` is for values of rows. Raises
    RaisedOnRow where an expression can't be evaluated on some row. The message of
    DuckDB isn't passed on: it may hold a value.
    """
    connection = _connection(guarded)
    table = pa.Table.from_batches([rows])
    query, renamed = with_distinct_names(query, tuple(rows.schema.names))
    if renamed:
        table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    connection.register("batch", table)
    try:
        result = connection.execute(query).to_arrow_table()
        if not renamed:
            return result
        original = {new: name for name, new in renamed.items()}
        return result.rename_columns([original.get(name, name) for name in result.column_names])
    except (
        duckdb.ConversionException,
        duckdb.InvalidInputException,
        duckdb.OutOfRangeException,
        duckdb.InvalidTypeException,
    ):
        raise RaisedOnRow from None
    finally:
        connection.unregister("batch")


def _connection(guarded: bool) -> duckdb.DuckDBPyConnection:
    """A connection of this thread: DuckDB connections can't be shared between threads."""
    name = "guarded" if guarded else "plain"
    connection: duckdb.DuckDBPyConnection | None = getattr(_local, name, None)
    if connection is None:
        connection = new_connection(share_subexpressions=not guarded)
        setattr(_local, name, connection)
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
