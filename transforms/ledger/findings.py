"""What the comparison of a load's rows has found and stored: lost keys, rules that fail."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from transforms.model.partition import Partition
from transforms.model.run_context import RunContext

Connection = psycopg.Connection[Any]


def stored_losers(
    connection: Connection, context: RunContext, partition: Partition
) -> dict[int, str]:
    """The ordinals that lose their key in a partition, with what they claimed."""
    return dict(
        _found(connection, context, partition, "migration_duplicates", ("ordinal", "claim"))
    )


def stored_claims(
    connection: Connection, context: RunContext, partition: Partition, source_keys: pa.Array
) -> dict[str, str]:
    """What the rows of a partition with these source keys claimed when they lost their key."""
    return {key: claim for key, claim, _ in _lost_keys(connection, context, partition, source_keys)}


def unreleased_claims(
    connection: Connection, context: RunContext, partition: Partition, source_keys: pa.Array
) -> dict[str, str]:
    """``stored_claims`` without the rows whose key nobody before them claims any more."""
    rows = _lost_keys(connection, context, partition, source_keys)
    return {key: claim for key, claim, released in rows if not released}


def _lost_keys(
    connection: Connection, context: RunContext, partition: Partition, source_keys: pa.Array
) -> list[tuple[str, str, bool]]:
    columns = ("source_key", "claim", "released")
    return _found(connection, context, partition, "migration_duplicates", columns, source_keys)


def findings_by_ordinal(
    connection: Connection, context: RunContext, partition: Partition
) -> dict[str, list[int]]:
    """The ordinals of a partition on which rules over several rows fail, by the rule's name."""
    found: dict[str, list[int]] = {}
    columns = ("rule", "ordinal")
    for rule, ordinal in _found(
        connection, context, partition, "migration_group_findings", columns
    ):
        found.setdefault(rule, []).append(ordinal)
    return found


def findings_by_source_key(
    connection: Connection, context: RunContext, partition: Partition, source_keys: pa.Array
) -> dict[tuple[str, str], str]:
    """What the rows with these source keys were compared by when rules failed on them, by the
    rule's name and the key."""
    columns = ("rule", "source_key", "claim")
    rows = _found(connection, context, partition, "migration_group_findings", columns, source_keys)
    return {(rule, key): claim for rule, key, claim in rows}


def _found(
    connection: Connection,
    context: RunContext,
    partition: Partition,
    table: str,
    columns: tuple[str, ...],
    source_keys: pa.Array | None = None,
) -> list[Any]:
    """Columns of what is stored of a partition, or of the rows with these source keys."""
    keys = None if source_keys is None else source_keys.to_pylist()
    return connection.execute(
        sql.SQL(
            "SELECT {} FROM {} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s"
            " AND (%(keys)s::text[] IS NULL OR source_key = ANY(%(keys)s))"
        ).format(sql.SQL(", ").join(map(sql.Identifier, columns)), context.table(table)),
        {"job": context.job, "load": partition.load, "id": partition.id, "keys": keys},
    ).fetchall()
