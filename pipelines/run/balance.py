"""Checks that every row is accounted for: ledger against source, ledger against target."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table
from pipelines.ledger.other_writers import report_other_writers
from pipelines.ledger.reset_command import migrate_command
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.ledger.target_growth import ancestors, target_growth
from schemas.errors import ErrorCode, Problem
from schemas.specification.root import Specification
from transforms.model.run_context import RunContext


@dataclass(frozen=True)
class Balance:
    """Where the identities of a job don't hold (``problems``), and what others wrote meanwhile to
    its tables, or to foreign tables that it read (``foreign``): no imbalance of the job."""

    problems: Sequence[Problem]
    foreign: Sequence[Problem]


def check_balance(
    target: psycopg.Connection[Any],
    specification: Specification,
    context: RunContext,
    complete: bool,
) -> Balance:
    """Compares the ledger with the source's counts and with the target's tables.

    Per partition: what was read is what the source counted when it was planned,
    ``candidates`` = ``accepted`` + ``rejected`` + ``skipped``, and ``written`` = ``accepted`` +
    ``expanded``. Once the job is ``complete`` also: per load, the partitions' rows are the source's
    own count; per target table, it has grown at least by what was inserted and by placeholders.
    The rows are counted, not compared: one that another writer adds makes up for one that it takes.
    """
    moving = {
        name
        for name, program in context.programs.items()
        if any(relation.access.foreign for relation in program.relations)
    }
    problems, notes = _partitions(target, specification, moving)
    if complete:
        problems += [p for load, p in _loads(target, specification) if load not in moving]
        missing, foreign = _tables(target, specification, context)
        problems += missing
        notes += foreign
    return Balance(problems, notes)


def _partitions(
    target: psycopg.Connection[Any], specification: Specification, moving: Collection[str]
) -> tuple[list[Problem], list[Problem]]:
    """What doesn't add up, and what was counted and read of loads whose source is ``moving``: no
    two sessions see its rows at the same moment."""
    rows = target.execute(
        sql.SQL(
            "SELECT load, partition_id, planned_rows, read, candidates, accepted, rejected,"
            " skipped, written, expanded, empty FROM {} WHERE job_id = %s AND state = 'done'"
            " AND (read <> planned_rows OR candidates <> accepted + rejected + skipped"
            "  OR written <> accepted + expanded) ORDER BY load, partition_id"
        ).format(control_table(specification, "migration_partitions")),
        [specification.job],
    ).fetchall()
    problems, notes = [], []
    for load, partition, planned, read, candidates, accepted, rejected, skipped, *rest in rows:
        written, expanded, _ = rest
        where = f"table {load}, partition {partition}"
        if read != planned:
            told = f"the source counted {planned} rows and gave {read}"
            if load in moving:
                notes.append(_moved(where, told))
            else:
                problems.append(_unsteady(target, specification, load, where, told))
        if candidates != accepted + rejected + skipped:
            told = f"{candidates} candidates, but {accepted} + {rejected} + {skipped} in all"
            problems.append(_problem(where, f"accepted, rejected and skipped don't add up: {told}"))
        if written != accepted + expanded:
            told = f"{accepted + expanded} rows were accepted and {written} written"
            problems.append(_problem(where, told))
    return problems, notes


def _loads(
    target: psycopg.Connection[Any], specification: Specification
) -> list[tuple[str, Problem]]:
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
        (
            load,
            _unsteady(
                target,
                specification,
                load,
                f"table {load}",
                f"the source counted {counted} rows, and its partitions gave {read}",
            ),
        )
        for load, counted, read in rows
    ]


def _tables(
    target: psycopg.Connection[Any], specification: Specification, context: RunContext
) -> tuple[list[Problem], list[Problem]]:
    """Tables that lack rows, and tables with rows that the job hasn't written.

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
    missing, foreign = [], []
    for table, loads, before in rows:
        if loads[0] not in context.programs or table in above:
            continue
        relation = context.programs[loads[0]].table
        row = target.execute(sql.SQL("SELECT count(*) FROM {}").format(relation.sql)).fetchone()
        assert row is not None
        more = row[0] - before - grown[table]
        if more > 0:
            parts = [part for part, whole in above.items() if table in whole]
            foreign.append(
                report_other_writers(
                    target,
                    specification,
                    relation,
                    [table, *parts],
                    more,
                    _way_back(target, specification, loads),
                )
            )
        elif more < 0:
            missing.append(_missing(target, specification, table, loads, -more))
    return missing, foreign


def _missing(
    target: psycopg.Connection[Any],
    specification: Specification,
    table: str,
    loads: Sequence[str],
    rows: int,
) -> Problem:
    number = "1 row that stood" if rows == 1 else f"{rows} rows that stood"
    return Problem(
        ErrorCode.USER_003,
        f"out of balance: {number} there before the job or were written by it are missing: a"
        " trigger or another session has deleted them",
        f"table {table}",
        f"stop what deletes rows; {_way_back(target, specification, loads)}",
    )


def _moved(where: str, told: str) -> Problem:
    return Problem(
        ErrorCode.DATA_005,
        f"{told}: a foreign table was written to in between; every row that it gave is accounted"
        " for",
        where,
        "to migrate one moment of it, stop its writers, or copy it first and read the copy",
    )


def _unsteady(
    target: psycopg.Connection[Any], specification: Specification, load: str, where: str, told: str
) -> Problem:
    return Problem(
        ErrorCode.SYS_005,
        f"out of balance: {told}",
        where,
        "read the source from a table, or from a view or query that gives the same rows each time;"
        f" then {_again(target, specification, [load])}",
    )


def _way_back(
    target: psycopg.Connection[Any], specification: Specification, loads: Sequence[str]
) -> str:
    """How the rows come back that were taken out of the table of these loads."""
    again = _again(target, specification, loads)
    if not _can_skip_existing(specification, loads):
        return again
    return f"{again}; after that, start this job again to complete it"


def _again(
    target: psycopg.Connection[Any], specification: Specification, loads: Sequence[str]
) -> str:
    """How the rows that the target lacks are written."""
    other = f"--job {specification.job}-2"
    if not _can_skip_existing(specification, loads):
        return (
            "remove what is written and start over:"
            f" {command_to_reset(target, specification, loads)}; {migrate_command(specification)}"
        )
    return (
        f"give {', '.join(loads)} 'write: skip_existing' in a copy of the specification and run it"
        f" with 'transfuse migrate COPY.yaml {other}', which writes the rows that are missing"
    )


def _can_skip_existing(specification: Specification, loads: Sequence[str]) -> bool:
    """Whether rows of these loads are known by keys that each job gives them again."""
    named = [specification.tables[load] for load in loads if load in specification.tables]
    return all(
        load.key and not any(field.generate for field in load.fields.values()) for load in named
    )


def _problem(where: str, message: str) -> Problem:
    return Problem(
        ErrorCode.SYS_003,
        f"out of balance: {message}",
        where,
        "report this defect with the row of migration_partitions that is named here",
    )
