"""The error sink as files: what has been committed, one file for each partition and replay."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import fastavro
import psycopg
import pyarrow as pa
import pyarrow.parquet
from psycopg import sql

from pipelines.ledger.job import control_table
from pipelines.terminal.private_files import (
    make_existing_private,
    make_private_folder,
    write_private,
)
from schemas.errors import ErrorCode, Problem
from schemas.specification.file_types import ErrorFileType
from schemas.specification.root import Specification
from transforms.sources.files.opening import is_remote

_FIELDS: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "job_id": pa.string(),
    "created_at": pa.timestamp("us", tz="UTC"),
    "error_code": pa.string(),
    "error_type": pa.string(),
    "category": pa.string(),
    "severity": pa.string(),
    "rule_id": pa.string(),
    "reason": pa.string(),
    "load": pa.string(),
    "source_table": pa.string(),
    "target_table": pa.string(),
    "partition_id": pa.string(),
    "source_key": pa.string(),
    "target_key": pa.string(),
    "field": pa.string(),
    "message": pa.string(),
    "root_cause_id": pa.int64(),
    "warning": pa.bool_(),
}
"""The columns of ``migration_errors`` that don't change later."""


def write_error_files(
    target: psycopg.Connection[Any], specification: Specification
) -> list[Problem]:
    """Writes the violations of settled loads to ``errors.path``, where they aren't yet.

    A file ``JOB/LOAD/PARTITION.avro`` (or ``.parquet``) holds all violations and warnings of
    its partition, in the columns of ``migration_errors``; what a replay has found besides is in
    ``PARTITION.ID.avro``, with the least of their ids. Each is written under another name
    and renamed, so an existing file is whole; it is not written again. The path may be
    anything that Beam's filesystems open; local files are readable for their owner alone. Gives
    SYS-005 where it can't be written.
    """
    path = specification.errors.path
    if path is None:
        return []
    folder: _LocalFolder | _RemoteFolder
    folder = _RemoteFolder(path) if is_remote(path) else _LocalFolder(Path(path))
    kind = specification.errors.format or ErrorFileType.AVRO
    # What one replay has found of a partition was stored at one instant.
    groups = target.execute(
        sql.SQL(
            "SELECT e.load, e.partition_id, e.replayed, min(e.id) FROM ("
            " SELECT *, CASE WHEN first_attempt > 1 THEN created_at END AS replayed FROM {}) AS e"
            " JOIN {} l USING (job_id, load) WHERE e.job_id = %s AND l.settled"
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 4"
        ).format(
            control_table(specification, "migration_errors"),
            control_table(specification, "migration_loads"),
        ),
        [specification.job],
    ).fetchall()
    for load, partition, replayed, first in groups:
        name = f"{partition if replayed is None else f'{partition}.{first}'}.{kind.value}"
        names = (_one_part(specification.job), _one_part(load), _one_part(name))
        try:
            if not folder.has(names):
                found = _violations(target, specification, load, partition, replayed)
                folder.write(names, _encoded(found, kind))
        except OSError as error:
            return [_problem(folder.path_of(names), type(error).__name__)]
        except Exception as error:
            # Beam wraps what a filesystem raises in an error of its own.
            if type(error).__name__ != "BeamIOError":
                raise
            return [_problem(folder.path_of(names), type(error).__name__)]
    return []


def _one_part(name: str) -> str:
    """A name as one part of a path, which can't lead out of the folder."""
    return "%2E" * len(name) if name in (".", "..") else name.replace("/", "%2F")


class _LocalFolder:
    """A folder of this machine; ``names`` are those of two folders below it and of a file."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path_of(self, names: Sequence[str]) -> str:
        return str(self._root.joinpath(*names))

    def has(self, names: Sequence[str]) -> bool:
        path = self._root.joinpath(*names)
        for existing in (path.parent.parent, path.parent, path):
            make_existing_private(existing)
        return path.exists()

    def write(self, names: Sequence[str], content: bytes) -> None:
        path = self._root.joinpath(*names)
        make_private_folder(path.parent)
        write_private(path, content)


class _RemoteFolder:
    """A folder of a filesystem that Beam knows, whose rights are the filesystem's own."""

    def __init__(self, root: str) -> None:
        from apache_beam.io.filesystems import FileSystems

        self._root = root
        self._filesystems = FileSystems

    def path_of(self, names: Sequence[str]) -> str:
        return str(self._filesystems.join(self._root, *names))

    def has(self, names: Sequence[str]) -> bool:
        return bool(self._filesystems.exists(self.path_of(names)))

    def write(self, names: Sequence[str], content: bytes) -> None:
        path, parent = self.path_of(names), self.path_of(names[:-1])
        if not self._filesystems.exists(parent):
            self._filesystems.mkdirs(parent)
        with self._filesystems.create(f"{path}.part") as file:
            file.write(content)
        self._filesystems.rename([f"{path}.part"], [path])


def _problem(path: str, kind: str) -> Problem:
    return Problem(
        ErrorCode.SYS_005,
        f"the error file can't be written ({kind}); its rows are safe in migration_errors",
        path,
        "make the path writable and start again",
    )


def _violations(
    target: psycopg.Connection[Any],
    specification: Specification,
    load: str,
    partition: str,
    replayed: datetime | None,
) -> pa.Table:
    columns = sql.SQL(", ").join(map(sql.Identifier, _FIELDS))
    rows = target.execute(
        sql.SQL(
            "SELECT {} FROM {} WHERE job_id = %s AND load = %s AND partition_id = %s"
            " AND CASE WHEN first_attempt > 1 THEN created_at END IS NOT DISTINCT FROM %s"
            " ORDER BY id"
        ).format(columns, control_table(specification, "migration_errors")),
        [specification.job, load, partition, replayed],
    ).fetchall()
    arrays = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(_FIELDS.values())]
    return pa.table(arrays, names=list(_FIELDS))


def _encoded(violations: pa.Table, kind: ErrorFileType) -> bytes:
    sink = io.BytesIO()
    if kind is ErrorFileType.PARQUET:
        pyarrow.parquet.write_table(violations, sink)
    else:
        fastavro.writer(sink, _AVRO, violations.to_pylist(), codec="deflate")
    return sink.getvalue()


_AVRO_TYPES = {
    pa.int64(): "long",
    pa.string(): "string",
    pa.bool_(): "boolean",
    pa.timestamp("us", tz="UTC"): {"type": "long", "logicalType": "timestamp-micros"},
}
_AVRO = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Violation",
        "namespace": "transfuse",
        "fields": [
            {"name": name, "type": ["null", _AVRO_TYPES[kind]], "default": None}
            for name, kind in _FIELDS.items()
        ],
    }
)
