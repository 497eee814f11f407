"""Checks that every row is accounted for: ledger against source, ledger against target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.job import control_table
from schemas.errors import ErrorCode, Problem
from schemas.specification.root import Specification
from transforms.run_context import RunContext

_REMEDY = "look at the partitions of migration_partitions that are named here"


def imbalances(
    target: psycopg.Connection[Any],
    specification: Specification,
    context: RunContext,
    complete: bool,
) -> list[Problem]:
    """Where the identities of a job don't hold; empty where they all do.

    Those of committed partitions always; the others once the job is ``complete``.

    Per partition: what was read is what the source counted when it was planned,
    ``candidates`` = ``accepted`` + ``rejected`` + ``skipped``, and ``written`` = ``accepted`` +
    ``expanded``. Per load: the partitions' rows are the source's own count. Per target
    table: it has grown by what was inserted and by placeholders, no more and no less.
    """
    found = _partitions(target, specification)
    if complete:
        found += _loads(target, specification)
        found += _tables(target, specification, context)
    return found


def _partitions(target: psycopg.Connection[Any], specification: Specification) -> list[Problem]:
    rows = target.execute(
        sql.SQL(
            "SELECT load, partition_id, planned_rows, read, candidates, accepted, rejected,"
            " skipped, written, expanded, empty FROM {} WHERE job_id = %s AND state = 'done'"
            " AND (read <> planned_rows OR candidates <> accepted + rejected + skipped"
            "  OR written <> accepted + expanded) ORDER BY load, partition_id"
        ).format(control_table(specification, "migration_partitions")),
        [specification.job],
    ).fetchall()
    problems = []
    for load, partition, planned, read, candidates, accepted, rejected, skipped, *rest in rows:
        written, expanded, _ = rest
        where = f"table {load}, partition {partition}"
        if read != planned:
            problems.append(_problem(where, f"{planned} rows were planned and {read} read"))
        if candidates != accepted + rejected + skipped:
            told = f"{candidates} candidates, but {accepted} + {rejected} + {skipped} in all"
            problems.append(_problem(where, f"accepted, rejected and skipped don't add up: {told}"))
        if written != accepted + expanded:
            lost = accepted + expanded - written
            told = f"{accepted + expanded} rows were sent and {written} written"
            problems.append(
                _problem(where, f"the target dropped {lost} rows: {told}", "look for a trigger")
            )
    return problems


def _loads(target: psycopg.Connection[Any], specification: Specification) -> list[Problem]:
    rows = target.execute(
        sql.SQL(
            "SELECT l.load, l.source_rows, coalesce(sum(p.read), 0)::int8 FROM {} l JOIN {} p"
            " USING (job_id, load) WHERE job_id = %s GROUP BY l.load, l.source_rows"
            " HAVING l.source_rows <> coalesce(sum(p.read), 0) ORDER BY l.load"
        ).format(
            control_table(specification, "migration_loads"),
            control_table(specification, "migration_partitions"),
        ),
        [specification.job],
    ).fetchall()
    return [
        _problem(f"table {load}", f"the source counts {counted} rows, the partitions read {read}")
        for load, counted, read in rows
    ]


def _tables(
    target: psycopg.Connection[Any], specification: Specification, context: RunContext
) -> list[Problem]:
    """The target's own counts. Other writers in the same tables show up here as well.

    Of tables of which one is a part of the other, the whole is counted.
    """
    rows = target.execute(
        sql.SQL(
            "SELECT l.target_table, array_agg(DISTINCT l.load ORDER BY l.load),"
            " min(l.target_rows_before)::int8, coalesce(sum(p.inserted), 0)::int8"
            " FROM {} l JOIN {} p USING (job_id, load) WHERE job_id = %s GROUP BY l.target_table"
        ).format(
            control_table(specification, "migration_loads"),
            control_table(specification, "migration_partitions"),
        ),
        [specification.job],
    ).fetchall()
    made = dict(
        target.execute(
            sql.SQL(
                "SELECT e.key, sum(e.value::int8)::int8 FROM {}, jsonb_each_text(placeholders) AS e"
                " WHERE job_id = %s GROUP BY e.key"
            ).format(control_table(specification, "migration_partitions")),
            [specification.job],
        ).fetchall()
    )
    above = _ancestors(target, [table for table, *_ in rows])
    grown: Counter[str] = Counter()
    for table, loads, _, inserted in rows:
        for counted in above.get(table, [table]):
            grown[counted] += inserted + sum(made.get(load, 0) for load in loads)
    problems = []
    for table, loads, before, _ in rows:
        if loads[0] not in context.programs or table in above:
            continue
        relation = context.programs[loads[0]].table
        row = target.execute(sql.SQL("SELECT count(*) FROM {}").format(relation.sql)).fetchone()
        assert row is not None
        expected = before + grown[table]
        if row[0] != expected:
            told = f"{expected} rows are expected in the target, {row[0]} are there"
            problems.append(
                _problem(f"table {table}", told, "look for triggers and for other writers")
            )
    return problems


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


def _ancestors(target: psycopg.Connection[Any], tables: Sequence[str]) -> dict[str, list[str]]:
    """For each of the tables that is a partition of others, or inherits from them, the topmost.

    A count of these includes its rows, and rows that are written to them may end in it.
    """
    found: dict[str, list[str]] = {}
    for child, ancestor in target.execute(_ANCESTORS, {"tables": list(tables)}).fetchall():
        found.setdefault(child, []).append(ancestor)
    return {
        child: [name for name in ancestors if name not in found]
        for child, ancestors in found.items()
    }


def _problem(where: str, message: str, remedy: str = _REMEDY) -> Problem:
    return Problem(ErrorCode.SYS_003, f"out of balance: {message}", where, remedy)
