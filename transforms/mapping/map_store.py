"""Maps for workers in other processes: their content stands in the target while a run goes on.

Every worker talks to the target, wherever it is, and a map goes there once. With the steps it
would go to each process as often as there are steps.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.feather
from psycopg import sql

from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.run_context import GemUse, RunContext
from transforms.postgres.connection_pool import target_pool

_TABLE = "migration_maps"


@contextmanager
def maps_stored(target: psycopg.Connection[Any], context: RunContext) -> Iterator[None]:
    """Stores the content of a run's maps for the duration of the context.

    Nothing is stored for a run whose workers share this memory. An earlier run that was killed
    must have left nothing.

    Raises:
        psycopg.Error: the target can't store it.
    """
    if context.in_process or not (context.lookups or context.maps):
        yield
        return
    statement = sql.SQL(
        "INSERT INTO {} (job_id, name, part, sha256, content) VALUES (%s, %s, %s, %s, %b)"
    ).format(context.table(_TABLE))
    with target.transaction():
        for part in _parts(context):
            content = _pack(part.rows)
            target.execute(statement, [context.job, part.name, part.part, part.sha256, content])
    try:
        yield
    finally:
        # Where the target is gone, the run ends for that reason.
        with suppress(psycopg.Error):
            _forget_maps(target, context)


def _forget_maps(target: psycopg.Connection[Any], context: RunContext) -> None:
    statement = sql.SQL("DELETE FROM {} WHERE job_id = %s").format(context.table(_TABLE))
    target.execute(statement, [context.job])


def stored_lookup(context: RunContext, table: LookupTable) -> LookupTable:
    """The table with its content.

    Raises:
        TransfuseError: SYS-005 where it isn't stored.
    """
    *keys, values = _read_part(context, table.name, "rows", table.sha256).columns
    return replace(table, keys=tuple(keys), values=values)


def stored_gem(context: RunContext, name: str, use: GemUse) -> GemUse:
    """The GEM map ``name`` with its content, and with the release that its targets are compared
    with.

    Raises:
        TransfuseError: SYS-005 where they aren't stored.
    """
    gem = replace(
        use.gem,
        entries=_read_part(context, name, "entries", use.gem.sha256),
        codes=_read_part(context, name, "codes", use.gem.sha256),
    )
    check = use.check
    if check is not None:
        (codes,) = _read_part(context, name, "release", check.sha256).columns
        check = check.against(gem, codes)
    return replace(use, gem=gem, check=check)


class _Part(NamedTuple):
    """A part of a map: the digest is that of the file or the rows that it comes from."""

    name: str
    part: str
    sha256: str
    rows: pa.RecordBatch


def _parts(context: RunContext) -> Iterator[_Part]:
    for name, table in context.lookups.items():
        columns = [*table.keys, table.values]
        names = [str(place) for place in range(len(columns))]
        yield _Part(name, "rows", table.sha256, pa.RecordBatch.from_arrays(columns, names))
    for name, use in context.maps.items():
        yield _Part(name, "entries", use.gem.sha256, use.gem.entries)
        yield _Part(name, "codes", use.gem.sha256, use.gem.codes)
        if use.check is not None:
            codes = pa.RecordBatch.from_arrays([use.check.valid], ["code"])
            yield _Part(name, "release", use.check.sha256, codes)


def _pack(rows: pa.RecordBatch) -> bytes:
    sink = io.BytesIO()
    pa.feather.write_feather(pa.table(rows), sink, compression="zstd")
    return sink.getvalue()


def _read_part(context: RunContext, name: str, part: str, sha256: str) -> pa.RecordBatch:
    query = sql.SQL(
        "SELECT content FROM {} WHERE job_id = %s AND name = %s AND part = %s AND sha256 = %s"
    ).format(context.table(_TABLE))
    with target_pool(context).lent() as target:
        row = target.execute(query, [context.job, name, part, sha256], binary=True).fetchone()
    if row is None:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_005,
                f"the map '{name}' of this run is no longer stored",
                remedy="see whether another run of the job has begun, and start again",
            )
        )
    table = pa.feather.read_table(pa.BufferReader(row[0])).combine_chunks()
    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, table.column_names)
