"""Lookup tables for workers in other processes: they stand in the target while a run goes on.

Every worker talks to the target, wherever it is, and a table goes there once. With the steps it
would go to each process as often as there are steps.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.feather
from psycopg import sql

from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.connection_pool import target_pool
from transforms.run_context import RunContext

_TABLE = "migration_lookups"


@contextmanager
def lookups_stored(target: psycopg.Connection[Any], context: RunContext) -> Iterator[None]:
    """Stores the lookup tables of a run within the context; afterwards they are deleted.

    Those of a run whose workers share this memory are within their reach as they are. What a run
    that was killed has left is replaced by the next one. Raises psycopg.Error.
    """
    if context.in_process or not context.lookups:
        yield
        return
    with target.transaction():
        _forget(target, context)
        for table in context.lookups.values():
            target.execute(
                sql.SQL(
                    "INSERT INTO {} (job_id, name, sha256, content) VALUES (%s, %s, %s, %b)"
                ).format(context.table(_TABLE)),
                [context.job, table.name, table.sha256, _packed(table)],
            )
    try:
        yield
    finally:
        # Where the target is gone, the run ends for that reason.
        with suppress(psycopg.Error):
            _forget(target, context)


def _forget(target: psycopg.Connection[Any], context: RunContext) -> None:
    statement = sql.SQL("DELETE FROM {} WHERE job_id = %s").format(context.table(_TABLE))
    target.execute(statement, [context.job])


def stored_lookup(context: RunContext, table: LookupTable) -> LookupTable:
    """The table with its content. Raises TransfuseError (SYS-005) where it isn't stored."""
    with target_pool(context).lent() as target:
        row = target.execute(
            sql.SQL(
                "SELECT content FROM {} WHERE job_id = %s AND name = %s AND sha256 = %s"
            ).format(context.table(_TABLE)),
            [context.job, table.name, table.sha256],
            binary=True,
        ).fetchone()
    if row is None:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_005,
                f"the map '{table.name}' of this run is stored no longer",
                remedy="see whether another run of the job has begun, and start again",
            )
        )
    content = pa.feather.read_table(pa.BufferReader(row[0])).combine_chunks()
    *keys, values = (column.combine_chunks() for column in content.columns)
    return replace(table, keys=tuple(keys), values=values)


def _packed(table: LookupTable) -> bytes:
    columns = [*table.keys, table.values]
    sink = io.BytesIO()
    pa.feather.write_feather(
        pa.table(columns, [str(place) for place in range(len(columns))]), sink, compression="zstd"
    )
    return sink.getvalue()
