"""Writes what accompanies a partition's rows: violations, keys, skips, open references."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.errors import ErrorCode
from schemas.messages import message_of
from transforms.partitions.partition import Partition
from transforms.run_context import RunContext
from transforms.target_rows.encode import encode_rows


def copy_violations(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    violations: pa.RecordBatch,
    source_keys: pa.Array,
    target_keys: pa.Array,
) -> None:
    """Adds one row of ``migration_errors`` for each violation.

    ``violations`` as in ``schemas.violations``; the keys (text) are those of their rows.
    """
    program = context.programs[partition.load]
    kinds = list(
        zip(
            *(violations.column(n).to_pylist() for n in ("code", "rule", "field", "reason")),
            strict=True,
        )
    )
    known = {kind: message_of(*kind) for kind in dict.fromkeys(kinds)}
    told = {code: _describe(ErrorCode(code)) for code in {kind[0] for kind in kinds}}
    columns = {
        "error_code": violations.column("code"),
        "error_type": _texts([told[k[0]][0] for k in kinds]),
        "category": _texts([told[k[0]][1] for k in kinds]),
        "severity": _texts([told[k[0]][2] for k in kinds]),
        "rule_id": violations.column("rule"),
        "reason": violations.column("reason"),
        "load": program.name,
        "source_table": program.source_name,
        "target_table": str(program.table),
        "partition_id": partition.id,
        "source_key": source_keys,
        "target_key": target_keys,
        "field": violations.column("field"),
        "message": _texts([known[k] for k in kinds]),
        "root_cause_id": violations.column("root_cause").cast(pa.int64()),
        "warning": violations.column("warning"),
    }
    _copy(connection, context, "migration_errors", len(violations), columns)


def copy_keys(
    connection: psycopg.Connection[Any],
    context: RunContext,
    load: str,
    source_keys: pa.Array,
    target_keys: pa.Array,
) -> None:
    """Adds which target key each source key got."""
    columns = {"load": load, "source_key": source_keys, "target_key": target_keys}
    _copy(connection, context, "migration_keys", len(source_keys), columns)


def copy_skipped(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    source_keys: pa.Array,
    target_keys: pa.Array,
) -> None:
    """Adds the keys of skipped rows, for the children that refer to them."""
    columns = {
        "load": partition.load,
        "partition_id": partition.id,
        "source_key": source_keys,
        "target_key": target_keys,
    }
    _copy(connection, context, "migration_skipped", len(source_keys), columns)


def copy_deferred(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    field: str,
    source_keys: pa.Array,
    target_keys: pa.Array,
    references: pa.Array,
    written: bool,
) -> None:
    """Adds references that a second pass settles; ``target_keys`` are JSON objects.

    ``written`` says whether the rows stand in the target; those that don't are checked too.
    """
    columns = {
        "load": partition.load,
        "partition_id": partition.id,
        "field": field,
        "source_key": source_keys,
        "target_key": target_keys,
        "reference": references,
        "written": pa.repeat(written, len(references)),
    }
    _copy(connection, context, "migration_deferred", len(source_keys), columns)


def _describe(code: ErrorCode) -> tuple[str, str, str]:
    return code.error_type, code.category.value, code.severity.label


def _texts(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())


def _copy(
    connection: psycopg.Connection[Any],
    context: RunContext,
    table: str,
    count: int,
    columns: dict[str, Any],
) -> None:
    if not count:
        return
    columns = {"job_id": context.job, **columns}
    arrays = [pa.repeat(v, count) if isinstance(v, str) else v for v in columns.values()]
    rows = pa.RecordBatch.from_arrays(
        [a.cast(pa.string()) if pa.types.is_null(a.type) else a for a in arrays], list(columns)
    )
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        context.table(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in encode_rows(rows, "csv"):
            copy.write(block)
