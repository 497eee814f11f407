"""Checks that every row is accounted for: ledger against source, ledger against target."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pipelines.job import control_table
from pipelines.target_growth import ancestors, target_growth
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
            "SELECT target_table, array_agg(load ORDER BY load), min(target_rows_before)::int8"
            " FROM {} WHERE job_id = %s GROUP BY target_table"
        ).format(control_table(specification, "migration_loads")),
        [specification.job],
    ).fetchall()
    tables = [table for table, *_ in rows]
    above, grown = ancestors(target, tables), target_growth(target, specification, tables)
    problems = []
    for table, loads, before in rows:
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


def _problem(where: str, message: str, remedy: str = _REMEDY) -> Problem:
    return Problem(ErrorCode.SYS_003, f"out of balance: {message}", where, remedy)
