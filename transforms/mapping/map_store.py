"""Maps for workers in other processes: their contents are in the target while a run goes on.

Every worker talks to the target, wherever it is, and a map is sent there once. With the steps it
would be sent to each process as often as there are steps.
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

from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.ledger.worker_ledger import WorkerLedger, lend_ledger
from transforms.model.run_context import GemUse, RunContext


@contextmanager
def maps_stored(target: psycopg.Connection[Any], context: RunContext) -> Iterator[None]:
    """Store the contents of a run's maps until the context ends.

    Nothing is stored for workers that share this memory.

    Args:
        target: A session to the target, outside of a transaction.
        context: The run's; no contents of an earlier run may be stored any more.

    Raises:
        psycopg.Error: The server can't be reached.
    """
    if context.in_process or not (context.lookups or context.maps):
        yield
        return
    maps = WorkerLedger(target, context).maps
    with target.transaction():
        for part in _parts(context):
            maps.add(part.name, part.part, part.sha256, _pack(part.rows))
    try:
        yield
    finally:
        # If the target is gone, the run ends for that reason.
        with suppress(psycopg.Error):
            maps.remove_all()


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
    with lend_ledger(context) as ledger:
        content = ledger.maps.read(name, part, sha256)
    if content is None:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_005,
                f"the map '{name}' of this run is no longer stored",
                remedy="see whether another run of the job has begun, and start again",
            )
        )
    table = pa.feather.read_table(pa.BufferReader(content)).combine_chunks()
    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, table.column_names)
