"""Writes what accompanies a partition's rows: violations, keys, skips, open references."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.errors import ErrorCode
from schemas.messages import message_of
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.postgres.copy_encoding import encode_rows


def copy_violations(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    violations: pa.RecordBatch,
    source_keys: pa.Array,
    target_keys: pa.Array,
    attempts: pa.Array,
) -> None:
    """Adds one row of ``migration_errors`` for each violation.

    ``violations`` as in ``schemas.violations``; the keys (text) are those of their rows, and so
    is ``attempts`` (int32), how often they have been judged.
    """
    program = context.programs[partition.load]
    columns = {
        **_described(violations),
        "load": program.name,
        "source_table": program.source_name,
        "target_table": str(program.table),
        "partition_id": partition.id,
        "source_key": source_keys,
        "target_key": target_keys,
        "root_cause_id": violations.column("root_cause").cast(pa.int64()),
        "warning": violations.column("warning"),
        "referenced": pa.repeat(program.referenced, len(violations)),
        "attempts": attempts,
        "first_attempt": attempts,
    }
    _copy(connection, context, "migration_errors", len(violations), columns)


_KIND = ("code", "rule", "field", "reason")


def _described(violations: pa.RecordBatch) -> dict[str, pa.Array]:
    """The columns that follow from what was found, which few kinds of violations share."""
    columns = [violations.column(name).dictionary_encode("encode") for name in _KIND]
    number = np.zeros(len(violations), np.int64)
    for column in columns:
        number = number * len(column.dictionary) + column.indices.to_numpy()
    _, first, kind = np.unique(number, return_index=True, return_inverse=True)
    kinds = violations.select(_KIND).take(pa.array(first)).to_pylist()
    codes = [ErrorCode(one["code"]) for one in kinds]
    of_kind = {
        "error_code": [one["code"] for one in kinds],
        "error_type": [code.error_type for code in codes],
        "category": [code.category.value for code in codes],
        "severity": [code.severity.label for code in codes],
        "rule_id": [one["rule"] for one in kinds],
        "reason": [one["reason"] for one in kinds],
        "field": [one["field"] for one in kinds],
        "message": [message_of(*one.values()) for one in kinds],
    }
    places = pa.array(kind)
    return {name: pa.array(texts, pa.string()).take(places) for name, texts in of_kind.items()}


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
