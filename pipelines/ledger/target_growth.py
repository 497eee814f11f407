"""By how much a job has let the tables of the target grow so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table
from schemas.specification.root import Specification


def target_growth(
    target: psycopg.Connection[Any], specification: Specification, tables: Sequence[str]
) -> Counter[str]:
    """Rows that the job's committed partitions have added to each of ``tables``, by its name.

    Rows that were inserted and placeholders, in the table itself and, of what inherits from it
    or is a partition of it, in those of ``tables`` and of the job's own.
    """
    added = _added(target, specification)
    above = ancestors(target, sorted({*tables, *added}))
    grown: Counter[str] = Counter()
    for table, rows in added.items():
        for counted in {table, *above.get(table, ())}:
            grown[counted] += rows
    return grown


def _added(target: psycopg.Connection[Any], specification: Specification) -> dict[str, int]:
    """Rows by the table that the load of a partition, or of a placeholder, goes into."""
    return dict(
        target.execute(
            sql.SQL(
                "SELECT l.target_table, sum(a.rows)::int8 FROM {loads} l JOIN ("
                "  SELECT job_id, load, inserted FROM {partitions}"
                "  UNION ALL SELECT job_id, e.key, e.value::int8"
                "  FROM {partitions}, jsonb_each_text(placeholders) AS e"
                ") AS a(job_id, load, rows) USING (job_id, load)"
                " WHERE job_id = %s AND a.rows IS NOT NULL GROUP BY l.target_table"
            ).format(
                loads=control_table(specification, "migration_loads"),
                partitions=control_table(specification, "migration_partitions"),
            ),
            [specification.job],
        ).fetchall()
    )


_ANCESTORS = """
WITH RECURSIVE up AS (
    SELECT inhrelid AS child, inhparent AS ancestor FROM pg_inherits
    UNION SELECT up.child, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.ancestor),
named AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
SELECT c.name, a.name FROM up
JOIN named c ON c.oid = up.child JOIN named a ON a.oid = up.ancestor
WHERE c.name = ANY(%(tables)s) AND a.name = ANY(%(tables)s)
"""


def ancestors(target: psycopg.Connection[Any], tables: Sequence[str]) -> dict[str, list[str]]:
    """For each of the tables that is a partition of others, or inherits from them: which.

    A count of these includes its rows, and rows that are written to them may end in it.
    """
    found: dict[str, list[str]] = {}
    for child, ancestor in target.execute(_ANCESTORS, {"tables": list(tables)}).fetchall():
        found.setdefault(child, []).append(ancestor)
    return found
