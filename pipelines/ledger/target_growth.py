"""By how many rows a job has let the tables of the target grow so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg

from pipelines.ledger.job_ledger import JobLedger


def target_growth(ledger: JobLedger, tables: Sequence[str]) -> Counter[str]:
    """Count the rows that the job's committed partitions have added to tables.

    Args:
        ledger: The job's.
        tables: The tables, with their schemas.

    Returns:
        By table, rows that were inserted and placeholders: in the table itself, and in those of
        ``tables`` and of the job's own that inherit from it or are partitions of it.
    """
    added = ledger.counts.read_added_rows()
    above = ancestors(ledger.connection, sorted({*tables, *added}))
    growth: Counter[str] = Counter()
    for table, rows in added.items():
        for counted in {table, *above.get(table, ())}:
            growth[counted] += rows
    return growth


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
    """Find the tables that are partitions of others, or inherit from them.

    Args:
        target: A connection to the target.
        tables: The tables, with their schemas.

    Returns:
        For each such table the others among ``tables``. A count of these includes its rows, and
        rows that are written to them may end in it.
    """
    above: dict[str, list[str]] = {}
    for child, ancestor in target.execute(_ANCESTORS, {"tables": list(tables)}).fetchall():
        above.setdefault(child, []).append(ancestor)
    return above
