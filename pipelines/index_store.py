"""Indexes that are built after the load: stored, dropped, and restored whatever happens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from pipelines.job import control_table
from schemas.catalog import Relation
from schemas.specification.root import Specification

_SECONDARY = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = %s::regclass AND NOT i.indisunique AND NOT i.indisexclusion AND i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
  AND x.relkind = 'i' AND NOT x.relispartition
  AND NOT i.indisclustered AND x.reltablespace = 0
  AND obj_description(x.oid, 'pg_class') IS NULL
"""
"""Unique indexes stay: they refuse rows, and what they refuse belongs to the row.

So do indexes of which the definition isn't all: those of a partitioned table and of its
partitions, which belong together, and those with a mark, a tablespace or a comment.
"""


def drop_indexes(
    target: psycopg.Connection[Any], specification: Specification, tables: Iterable[Relation]
) -> None:
    """Drops the secondary indexes of those tables that are empty, their definitions stored.

    Does nothing unless the specification says ``indexes: after_load``. Definitions and
    drops are one transaction.
    """
    if specification.target.indexes != "after_load":
        return
    store = control_table(specification, "migration_indexes")
    for table in tables:
        name = table.sql.as_string()
        row = target.execute(
            sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(table.sql)
        ).fetchone()
        if row is None or not row[0]:
            continue
        with target.transaction():
            for index, definition in target.execute(_SECONDARY, [name]).fetchall():
                target.execute(
                    sql.SQL(
                        "INSERT INTO {} (job_id, index_name, definition) VALUES (%s, %s, %s)"
                    ).format(store),
                    [specification.job, index, definition],
                )
                target.execute(sql.SQL("DROP INDEX {}").format(sql.SQL(index)))


def restore_indexes(target: psycopg.Connection[Any], specification: Specification) -> None:
    """Builds every stored index of the job again; a run that was killed left them stored."""
    store = control_table(specification, "migration_indexes")
    stored = target.execute(
        sql.SQL("SELECT index_name, definition FROM {} WHERE job_id = %s ORDER BY 1").format(store),
        [specification.job],
    ).fetchall()
    for index, definition in stored:
        with target.transaction():
            target.execute(sql.SQL(definition))
            target.execute(
                sql.SQL("DELETE FROM {} WHERE job_id = %s AND index_name = %s").format(store),
                [specification.job, index],
            )
