"""Reads one partition of a PostgreSQL source into one Arrow RecordBatch.

The driver computes dates and timestamps from PostgreSQL's epoch (2000) to Arrow's (1970)
without looking for infinities or overflow; what wraps around is repaired here.
"""

from __future__ import annotations

from collections.abc import Sequence

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.column_types import ColumnType
from transforms.model.partition import Partition
from transforms.model.session_names import ProcessSessions
from transforms.model.source_rows import SourceRows
from transforms.postgres.connections import add_network_limits, add_session_name
from transforms.postgres.refused_logins import each_login_once
from transforms.postgres.row_security import WHOLE_TABLES
from transforms.postgres.session_settings import session_setup
from transforms.postgres.snapshot import Snapshot, take_snapshot
from transforms.postgres.statement_log import log_statement
from transforms.sources.postgres.large_values import is_left_out

_READING = {**WHOLE_TABLES, "max_parallel_workers_per_gather": "0"}
"""A table is scanned by one process: what runs in parallel is partitions."""

_EPOCH_DAYS = 10_957
_EPOCH_MICROSECONDS = _EPOCH_DAYS * 86_400_000_000


def open_source(
    uri: str, snapshot: Snapshot | None, session_name: str = ""
) -> adbc_driver_postgresql.dbapi.Connection:
    """Connect for reading, under the settings that all sessions share.

    Args:
        uri: the source's URL.
        snapshot: an exported snapshot. The connection stays in one REPEATABLE READ, READ ONLY
            transaction that sees exactly that snapshot, until it is closed.
        session_name: the session's name on the server; without it that of the process.

    Returns:
        The connection.

    Raises:
        SnapshotGone: the server doesn't have the snapshot any more.
        adbc_driver_manager.Error: the server can't be reached.
        TransfuseError: CONN-002, this login was refused a moment ago.
    """
    # Autocommit, because otherwise the driver opens a transaction of its own.
    with each_login_once(uri):
        named = add_session_name(add_network_limits(uri), session_name or ProcessSessions.name)
        connection = adbc_driver_postgresql.dbapi.connect(named, autocommit=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute(session_setup(_READING))
            cursor.fetchall()
            cursor.execute("SELECT current_setting('server_encoding')")
            if cursor.fetchone() == ("SQL_ASCII",):
                # Such a server knows no encoding, and would refuse a partition for one value
                # that isn't the client's. So it gives bytes, which are looked at here.
                cursor.execute("SET client_encoding = 'SQL_ASCII'")
            if snapshot is not None:
                take_snapshot(cursor, snapshot)
    except BaseException:
        connection.close()
        raise
    return connection


def read_partition(
    connection: adbc_driver_postgresql.dbapi.Connection,
    relation: Relation,
    columns: Sequence[str],
    partition: Partition,
    with_ctid: bool,
    ordered: bool = False,
    without_oversized: bool = False,
) -> SourceRows:
    """Read the rows of a partition as one batch.

    Args:
        connection: the source, as ``open_source`` opens it.
        relation: what is read.
        columns: names of its columns.
        partition: which of its rows.
        with_ctid: whether the physical position of each row is read.
        ordered: whether rows come in the same order every time, by ``Relation.order``; those of a
            range of pages do without, in the order in which they are stored.
        without_oversized: whether values that make a row too large for the server to send are left
            out.

    Returns:
        Columns ``src.NAME``: natively where ``ColumnType.is_native``, else as the server's text;
        with ``with_ctid`` also ``src.ctid`` (string). Infinite dates and timestamps are the largest
        and the negated largest integer of the storage type. Values that are left out are NULL and
        marked (``SourceRows.oversized``).

    Raises:
        ValueError: there is nothing to read or no such column.
        adbc_driver_manager.Error: the server refuses. The text may hold values of the row; a
            connection that reads a snapshot is of no more use after that.
    """
    read = [_existing(relation, name) for name in columns]
    long = [c for c in read if c.type.is_textual or not c.type.is_native]
    long = long if without_oversized else []
    query = _select_rows(relation, read, long, partition, with_ctid, ordered)
    with log_statement(lambda: query, "the source"), connection.cursor() as cursor:
        cursor.execute(query)
        table = cursor.fetch_arrow_table()
    return _source_rows(table, read, long, with_ctid)


def _source_rows(
    table: pa.Table, read: Sequence[Column], long: Sequence[Column], with_ctid: bool
) -> SourceRows:
    """The rows of ``_select_rows`` in the types of a batch, with what these can't represent."""
    arrays = [_combine(column) for column in table.columns]
    names = [f"src.{column.name}" for column in read]
    unrepresentable: dict[str, pa.BooleanArray] = {}
    for index, column in enumerate(read):
        arrays[index], lost = _repair(arrays[index], column.type)
        if lost is not None:
            unrepresentable[names[index]] = lost
    if with_ctid:
        names.append("src.ctid")
    masks, arrays = arrays[len(names) :], arrays[: len(names)]
    oversized = {f"src.{c.name}": mask for c, mask in zip(long, masks, strict=True)}
    oversized = {name: mask for name, mask in oversized.items() if pc.any(mask).as_py()}
    return SourceRows(
        pa.RecordBatch.from_arrays(arrays, names=names),
        unrepresentable | oversized,
        oversized=frozenset(oversized),
    )


def _select_rows(
    relation: Relation,
    columns: Sequence[Column],
    long: Sequence[Column],
    partition: Partition,
    with_ctid: bool,
    ordered: bool,
) -> str:
    """The query for a partition: ``columns``, the position, and which of ``long`` are left out."""
    left_out = {c.name: is_left_out(c, long) for c in long}
    selected = [_expression(column) for column in columns]
    for place, column in enumerate(columns):
        if column in long:
            selected[place] = sql.SQL("CASE WHEN NOT {} THEN {} END").format(
                left_out[column.name], selected[place]
            )
    if with_ctid:
        selected.append(sql.SQL("ctid::text"))
    selected += left_out.values()
    if not selected:
        raise ValueError("a partition is read with at least one column")
    query = (
        sql.SQL("SELECT {} FROM {} WHERE ")
        .format(sql.SQL(", ").join(selected), relation.sql)
        .as_string()
        + partition.predicate
    )
    if ordered:
        query += f" ORDER BY {relation.order.as_string()}"
    if partition.limit is not None:
        query += f" LIMIT {partition.limit}"
    return query


def _existing(relation: Relation, name: str) -> Column:
    column = relation.column(name)
    if column is None:
        raise ValueError(f"{relation} has no column {name}")
    return column


def _expression(column: Column) -> sql.Composable:
    # PostgreSQL's cast of bpchar to text removes the padding. The driver gives extension
    # types such as citext as bytes, so that all text is cast.
    if column.type.is_native and not column.type.is_textual:
        return sql.Identifier(column.name)
    return sql.SQL("{}::text").format(sql.Identifier(column.name))


def _combine(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        raise pa.ArrowCapacityError("a column of a partition is longer than 2 GB")
    return combined


def _repair(array: pa.Array, column_type: ColumnType) -> tuple[pa.Array, pa.BooleanArray | None]:
    """The array in the Arrow type of ``column_type``, and a mask of what that can't represent."""
    wanted = column_type.arrow
    if pa.types.is_date32(wanted):
        return _repair_days(array).view(wanted), None
    if pa.types.is_timestamp(wanted):
        repaired, lost = _repair_microseconds(array)
        return repaired.view(wanted), lost
    if column_type.is_textual:
        return _as_text(array.cast(wanted))
    return array.cast(wanted), None


def _as_text(array: pa.Array) -> tuple[pa.Array, pa.BooleanArray | None]:
    """Only a server in SQL_ASCII gives bytes that are no text in the client's encoding."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        values = array.cast(pa.binary())
        lost = pa.array([not _is_utf8(value) for value in values.to_pylist()])
        return pc.if_else(lost, pa.scalar(None, pa.binary()), values).cast(pa.string()), lost
    return array, None


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _repair_days(array: pa.Array) -> pa.Array:
    raw = array.view(pa.int32())
    largest = 2**31 - 1
    # The server's infinities are its largest and smallest integer, before the driver's
    # addition. No finite date reaches them.
    raw = _replace_values(raw, -(2**31) + _EPOCH_DAYS - 1, largest)
    return _replace_values(raw, -(2**31) + _EPOCH_DAYS, -largest)


def _repair_microseconds(array: pa.Array) -> tuple[pa.Array, pa.BooleanArray | None]:
    raw = array.view(pa.int64())
    largest = 2**63 - 1
    infinity = -(2**63) + _EPOCH_MICROSECONDS - 1
    # What lies beyond the wrapped infinity has wrapped as well, and the largest integer is
    # the last microsecond that hasn't: here it would mean infinity.
    wrapped = pc.or_(pc.less(raw, infinity), pc.equal(raw, largest))
    lost = pc.fill_null(wrapped, False)
    if pc.any(lost).as_py():
        raw = pc.if_else(lost, pa.scalar(None, pa.int64()), raw)
    else:
        lost = None
    return _replace_values(_replace_values(raw, infinity, largest), infinity + 1, -largest), lost


def _replace_values(raw: pa.Array, wrapped: int, meant: int) -> pa.Array:
    affected = pc.equal(raw, pa.scalar(wrapped, raw.type))
    if not pc.any(affected).as_py():
        return raw
    return pc.if_else(affected, pa.scalar(meant, raw.type), raw)
