"""The error sink as files: committed violations, one file for each partition and replay."""

from __future__ import annotations

import io

import fastavro
import pyarrow as pa
import pyarrow.parquet

from pipelines.ledger.error_batches import ErrorBatch
from pipelines.ledger.error_folders import open_error_folder
from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ErrorCode, Problem
from schemas.specification.file_types import ErrorFileType

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


def write_error_files(ledger: JobLedger) -> list[Problem]:
    """Write the violations of settled loads to ``errors.path``, as far as they aren't there yet.

    A file ``JOB/LOAD/PARTITION.avro`` (or ``.parquet``) has all violations and warnings of
    its partition, in the columns of ``migration_errors``; those that a replay added are in
    ``PARTITION.ID.avro``, with the lowest of their ids. Each is written under another name
    and renamed, so an existing file is whole; it is not written again.

    Args:
        ledger: The job's.

    Returns:
        SYS-005 for the first file that can't be written.
    """
    path = ledger.specification.errors.path
    if path is None:
        return []
    folder = open_error_folder(path)
    file_type = ledger.specification.errors.format or ErrorFileType.AVRO
    for batch in ledger.error_batches.read():
        partition = batch.partition
        if batch.replayed_at is not None:
            partition = f"{partition}.{batch.first}"
        parts = (ledger.specification.job, batch.load, f"{partition}.{file_type.value}")
        names = [_one_part(part) for part in parts]
        try:
            if not folder.has(names):
                folder.write(names, _encode(_read_violations(ledger, batch), file_type))
        except OSError as error:
            return [_problem(folder.path_of(names), type(error).__name__)]
        except Exception as error:
            # Beam wraps the exceptions of a filesystem in an error of its own.
            if type(error).__name__ != "BeamIOError":
                raise
            return [_problem(folder.path_of(names), type(error).__name__)]
    return []


def _one_part(name: str) -> str:
    """A name as one part of a path, which can't lead out of the folder."""
    return "%2E" * len(name) if name in (".", "..") else name.replace("/", "%2F")


def _problem(path: str, kind: str) -> Problem:
    return Problem(
        ErrorCode.SYS_005,
        f"the error file can't be written ({kind}); its rows are safe in migration_errors",
        path,
        "make the path writable and start again",
    )


def _read_violations(ledger: JobLedger, batch: ErrorBatch) -> pa.Table:
    rows = ledger.error_batches.read_rows(batch, list(_FIELDS))
    arrays = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(_FIELDS.values())]
    return pa.table(arrays, names=list(_FIELDS))


def _encode(violations: pa.Table, file_type: ErrorFileType) -> bytes:
    sink = io.BytesIO()
    if file_type is ErrorFileType.PARQUET:
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
