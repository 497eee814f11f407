"""What the comparison of a load's rows has found and stored: lost keys, rules that fail."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from transforms.partitions.partition import Partition
from transforms.run_context import RunContext


def stored_losers(
    connection: psycopg.Connection[Any], context: RunContext, partition: Partition
) -> dict[int, str]:
    """The ordinals that lose their key in a partition, with what they claimed."""
    return dict(
        connection.execute(
            sql.SQL(
                "SELECT ordinal, claim FROM {} WHERE job_id = %s AND load = %s"
                " AND partition_id = %s"
            ).format(context.table("migration_duplicates")),
            [context.job, partition.load, partition.id],
        ).fetchall()
    )


def stored_claims(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    source_keys: pa.Array,
) -> dict[str, str]:
    """What the rows of a partition with these source keys claimed when they lost their key."""
    return dict(
        connection.execute(
            sql.SQL(
                "SELECT source_key, claim FROM {} WHERE job_id = %s AND load = %s"
                " AND partition_id = %s AND source_key = ANY(%s)"
            ).format(context.table("migration_duplicates")),
            [context.job, partition.load, partition.id, source_keys.to_pylist()],
        ).fetchall()
    )


def findings_by_ordinal(
    connection: psycopg.Connection[Any], context: RunContext, partition: Partition
) -> dict[str, list[int]]:
    """The ordinals of a partition on which rules over several rows fail, by the rule's name."""
    return dict(
        connection.execute(
            sql.SQL(
                "SELECT rule, array_agg(ordinal) FROM {} WHERE job_id = %s AND load = %s"
                " AND partition_id = %s GROUP BY rule"
            ).format(context.table("migration_group_findings")),
            [context.job, partition.load, partition.id],
        ).fetchall()
    )


def findings_by_source_key(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    source_keys: pa.Array,
) -> dict[tuple[str, str], str]:
    """What the rows with these source keys were compared by when rules failed on them, by the
    rule's name and the key."""
    rows = connection.execute(
        sql.SQL(
            "SELECT rule, source_key, claim FROM {} WHERE job_id = %s AND load = %s"
            " AND partition_id = %s AND source_key = ANY(%s)"
        ).format(context.table("migration_group_findings")),
        [context.job, partition.load, partition.id, source_keys.to_pylist()],
    ).fetchall()
    return {(rule, key): claim for rule, key, claim in rows}
