"""Checks that every row is accounted for: ledger against source, ledger against target."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg import sql

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.load_rows import FilledTable
from pipelines.ledger.other_writers import report_other_writers
from pipelines.ledger.reset_command import migrate_command
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.ledger.target_growth import ancestors, target_growth
from schemas.errors import ErrorCode, Problem
from schemas.specification.root import Specification
from transforms.model.run_context import RunContext


@dataclass(frozen=True)
class Balance:
    """The result of comparing the counts of a job with both databases.

    Attributes:
        problems: Identities that don't hold.
        foreign: Rows that others wrote meanwhile to the job's tables, or to foreign tables that it
            read: no imbalance of the job.
    """

    problems: Sequence[Problem]
    foreign: Sequence[Problem]


def check_balance(ledger: JobLedger, context: RunContext, complete: bool) -> Balance:
    """Compare the ledger with the source's counts and with the target's tables.

    Per partition: ``read`` is what the source counted when it was planned,
    ``candidates`` = ``accepted`` + ``rejected`` + ``skipped``, and ``written`` = ``accepted`` +
    ``expanded``. Of a complete job also: per load, the partitions' rows are the source's
    own count; per target table, it has grown at least by inserted rows and placeholders.
    The rows are counted, not compared: one that another writer adds makes up for one that it takes.

    Args:
        ledger: The job's.
        context: The run.
        complete: Whether to count the tables of the target.

    Returns:
        The problems.
    """
    moving = {
        name
        for name, program in context.programs.items()
        if any(relation.access.foreign for relation in program.relations)
    }
    problems, notes = _check_partitions(ledger, moving)
    if complete:
        problems += [problem for load, problem in _check_loads(ledger) if load not in moving]
        missing, foreign = _check_tables(ledger, context)
        problems += missing
        notes += foreign
    return Balance(problems, notes)


def _check_partitions(
    ledger: JobLedger, moving: Collection[str]
) -> tuple[list[Problem], list[Problem]]:
    """The problems of partitions, and notes on loads whose source is ``moving``: no two sessions
    see its rows at the same moment."""
    problems, notes = [], []
    for counts in ledger.partitions.read_miscounted():
        where = f"table {counts.load}, partition {counts.id}"
        if counts.read != counts.planned:
            message = f"the source counted {counts.planned} rows and gave {counts.read}"
            if counts.load in moving:
                notes.append(_changed_foreign_table(where, message))
            else:
                problems.append(_unsteady(ledger, counts.load, where, message))
        if counts.candidates != counts.accepted + counts.rejected + counts.skipped:
            numbers = f"{counts.accepted} + {counts.rejected} + {counts.skipped}"
            message = f"{counts.candidates} candidates, but {numbers} in all"
            message = f"accepted, rejected and skipped don't add up: {message}"
            problems.append(_defect(where, message))
        if counts.written != counts.accepted + counts.expanded:
            accepted = counts.accepted + counts.expanded
            message = f"{accepted} rows were accepted and {counts.written} written"
            problems.append(_defect(where, message))
    return problems, notes


def _check_loads(ledger: JobLedger) -> list[tuple[str, Problem]]:
    counts = ledger.counts.read_loads()
    return [
        (
            load,
            _unsteady(
                ledger,
                load,
                f"table {load}",
                f"the source counted {rows} rows, and its partitions gave {counts[load].read}",
            ),
        )
        for load, rows in ledger.loads.read_source_rows().items()
        if load in counts and counts[load].read != rows
    ]


def _check_tables(ledger: JobLedger, context: RunContext) -> tuple[list[Problem], list[Problem]]:
    """Tables that lack rows, and tables with rows that the job hasn't written.

    Of tables of which one is a part of the other, the whole is counted.
    """
    tables = ledger.loads.read_tables()
    names = [table.name for table in tables]
    above, growth = ancestors(ledger.connection, names), target_growth(ledger, names)
    missing, foreign = [], []
    for table in tables:
        first = table.loads[0]
        if first not in context.programs or table.name in above:
            continue
        relation = context.programs[first].table
        row = ledger.connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(relation.sql)
        ).fetchone()
        assert row is not None
        surplus = row[0] - table.rows_before - growth[table.name]
        if surplus > 0:
            parts = [part for part, whole in above.items() if table.name in whole]
            way_back = _way_back(ledger, table.loads)
            foreign.append(
                report_other_writers(ledger, relation, [table.name, *parts], surplus, way_back)
            )
        elif surplus < 0:
            missing.append(_missing(ledger, table, -surplus))
    return missing, foreign


def _missing(ledger: JobLedger, table: FilledTable, rows: int) -> Problem:
    number = "1 row that was" if rows == 1 else f"{rows} rows that were"
    return Problem(
        ErrorCode.USER_003,
        f"out of balance: {number} there before the job or written by it are missing: a"
        " trigger or another session has deleted them",
        f"table {table.name}",
        f"stop what deletes rows; {_way_back(ledger, table.loads)}",
    )


def _changed_foreign_table(where: str, message: str) -> Problem:
    return Problem(
        ErrorCode.DATA_005,
        f"{message}: a foreign table was written to in between; every row that it gave is accounted"
        " for",
        where,
        "to migrate one moment of it, stop its writers, or copy it first and read the copy",
    )


def _unsteady(ledger: JobLedger, load: str, where: str, message: str) -> Problem:
    return Problem(
        ErrorCode.SYS_005,
        f"out of balance: {message}",
        where,
        "read the source from a table, or from a view or query that gives the same rows each time;"
        f" then {_again(ledger, [load])}",
    )


def _way_back(ledger: JobLedger, loads: Sequence[str]) -> str:
    """How rows come back that were deleted from the table of these loads."""
    again = _again(ledger, loads)
    if not _can_skip_existing(ledger.specification, loads):
        return again
    return f"{again}; after that, start this job again to complete it"


def _again(ledger: JobLedger, loads: Sequence[str]) -> str:
    """How the rows that the target lacks are written."""
    specification = ledger.specification
    if not _can_skip_existing(specification, loads):
        return (
            "remove what is written and start over:"
            f" {command_to_reset(ledger, loads)}; {migrate_command(specification)}"
        )
    other = f"--job {specification.job}-2"
    return (
        f"give {', '.join(loads)} 'write: skip_existing' in a copy of the specification and run it"
        f" with 'transfuse migrate COPY.yaml {other}', which writes the rows that are missing"
    )


def _can_skip_existing(specification: Specification, loads: Sequence[str]) -> bool:
    """Whether the rows of these loads have keys that every job gives them alike."""
    named = [specification.tables[load] for load in loads if load in specification.tables]
    return all(
        load.key and not any(field.generate for field in load.fields.values()) for load in named
    )


def _defect(where: str, message: str) -> Problem:
    return Problem(
        ErrorCode.SYS_003,
        f"out of balance: {message}",
        where,
        "report this defect with the row of migration_partitions that is named here",
    )
