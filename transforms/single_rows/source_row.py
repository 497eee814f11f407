"""Reads one row of a source anew, by the text that identifies it in the error sink."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
from psycopg import sql

from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.mapping.program import LoadProgram
from transforms.partitions.partition import Partition
from transforms.partitions.reader import read_partition
from transforms.sources.source_rows import SourceRows

_CTID = re.compile(r"\(\d{1,10},\d{1,5}\)")
_PLACE = re.compile(r"([\d-]+):(\d+)")


def partition_in(program: LoadProgram, source_key: str) -> str | None:
    """The id of the partition in which a row without any key of its own has its place.

    None where the source key is one by itself: columns of the row, or its ctid.
    """
    match = _PLACE.fullmatch(source_key)
    return None if program.source_key or program.with_ctid or match is None else match[1]


def read_source_row(
    connection: adbc_driver_postgresql.dbapi.Connection,
    program: LoadProgram,
    source_key: str,
    columns: Sequence[str],
    partition: Partition | None = None,
) -> SourceRows | None:
    """The row of a load's source with that source key, as one batch; None where there is none.

    ``partition`` is where the row was read: its relation is asked, without it all of the
    load in their order. A row that is identified by its place needs it. Raises
    TransfuseError (USER-001) for a text that is no source key of the load, and
    adbc_driver_manager.Error.
    """
    condition = _condition(program, source_key)
    if condition is None:
        if partition is None:
            raise _no_key(program, source_key)
        relation = program.relations[partition.relation]
        rows = read_partition(
            connection, relation, columns, partition, False, program.sorts(relation)
        )
        return rows.only(int(source_key.rpartition(":")[2]))
    positions = range(len(program.relations)) if partition is None else [partition.relation]
    for position in positions:
        wanted = Partition(program.name, "", condition, 1, position)
        try:
            rows = read_partition(
                connection, program.relations[position], columns, wanted, program.with_ctid
            )
        except adbc_driver_manager.Error as error:
            if str(getattr(error, "sqlstate", None) or "").startswith("22"):
                raise _no_key(program, source_key) from None
            raise
        if len(rows.batch):
            return rows.only(0)
    return None


def _condition(program: LoadProgram, source_key: str) -> str | None:
    """The SQL that picks the row; None where its place in a partition identifies it."""
    if program.source_key:
        values = _values(program, source_key)
        # The server takes a bare literal for the column's type without its length, to which
        # it would silently cut a value.
        parts = [
            sql.SQL("{} IS NULL").format(sql.Identifier(name))
            if value is None
            else sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in zip(program.source_key, values, strict=True)
        ]
        return sql.SQL(" AND ").join(parts).as_string()
    if program.with_ctid:
        if not _CTID.fullmatch(source_key):
            raise _no_key(program, source_key)
        return f"ctid = '{source_key}'::tid"
    if not _PLACE.fullmatch(source_key):
        raise _no_key(program, source_key)
    return None


def _values(program: LoadProgram, source_key: str) -> list[str | None]:
    if len(program.source_key) == 1:
        return [source_key]
    try:
        values = json.loads(source_key)
    except ValueError:
        raise _no_key(program, source_key) from None
    if not isinstance(values, list) or len(values) != len(program.source_key):
        raise _no_key(program, source_key)
    return [None if value is None else str(value) for value in values]


def _no_key(program: LoadProgram, source_key: str) -> TransfuseError:
    if len(program.source_key) > 1:
        form = f"a JSON array of the texts of {', '.join(program.source_key)}"
    elif program.source_key:
        form = f"a value of {program.source_key[0]}"
    else:
        form = "a row's place, (PAGE,ROW)" if program.with_ctid else "PARTITION:ROW"
    return TransfuseError(
        Problem(
            ErrorCode.USER_001,
            f"{source_key!r} is no source key of the load",
            f"table {program.name}",
            f"it is {form}, as in migration_errors.source_key",
        )
    )
