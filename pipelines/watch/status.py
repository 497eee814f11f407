"""``status``: how far a job is, read from its ledger."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from pipelines.ledger.failures import read_failures
from pipelines.ledger.index_store import left_unbuilt
from pipelines.ledger.job import control_table, stored_job, stored_jobs
from pipelines.ledger.job_lock import is_held
from pipelines.ledger.run_summary import read_summary
from pipelines.terminal.console import (
    code_tables,
    print_json,
    print_problems,
    problem_documents,
    stdout,
    table_of,
)
from pipelines.terminal.flag_check import closest
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from schemas.summary import Summary
from transforms.postgres.connections import connect

INTERVAL = 1.0
"""Seconds between two looks at the ledger with ``--watch``."""


@dataclass(frozen=True)
class JobStatus:
    """A job at one instant: its summary, and what the summary doesn't tell.

    ``planned`` are source rows by load; ``failures`` are the causes of failed partitions.
    ``has_run`` is False before the job's first run. ``held`` is whether a process has the job,
    which may plan it still, or replay rows.
    """

    summary: Summary
    held: bool
    has_run: bool
    planned: dict[str, int]
    failures: tuple[Problem, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more by itself. Who waits as paused doesn't hold the job."""
        return not self.held and self.summary.state != "paused"


def read_status(target: psycopg.Connection[Any], specification: Specification) -> JobStatus:
    """The status of the specification's job, all of one snapshot. Writes nothing."""
    held = is_held(target, specification)
    with target.transaction():
        target.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        summary = read_summary(target, specification, held)
        if stored_job(target, specification) is None:
            return JobStatus(summary, held, False, {}, ())
        # A run that is at work builds them itself.
        at_work = held or summary.state == "paused"
        unbuilt = () if at_work else left_unbuilt(target, specification)
        rows = target.execute(
            sql.SQL(
                "SELECT load, coalesce(sum(planned_rows), 0)::int8 FROM {} WHERE job_id = %s"
                " GROUP BY load"
            ).format(control_table(specification, "migration_partitions")),
            [specification.job],
        ).fetchall()
        return JobStatus(
            summary,
            held,
            True,
            dict(rows),
            (*read_failures(target, specification), *unbuilt),
        )


def show_status(specification: Specification, watch: bool, as_json: bool) -> None:
    """Prints the job's status; with ``watch`` again and again until it has ``ended``.

    As JSON it is the summary, printed once. Why partitions failed goes to stderr.

    Raises:
        TransfuseError: USER-001 where there is no such job; with exit status 3 where the target
            can't be reached.
    """
    with connect(specification.target.url) as target:
        status = read_status(target, specification)
        if not status.has_run and not status.held:
            raise TransfuseError(_no_such_job(target, specification))
        if watch and as_json:
            # Who stops watching doesn't stop the job.
            with suppress(KeyboardInterrupt):
                while not status.ended:
                    wait()
                    status = read_status(target, specification)
        elif watch:
            status = _watched(target, specification, status)
        else:
            stdout().print(_rendered(status)) if not as_json else None
    if as_json:
        problems = problem_documents(status.failures)
        print_json({**status.summary.model_dump(), "problems": problems})
    print_problems(status.failures)


def _no_such_job(target: psycopg.Connection[Any], specification: Specification) -> Problem:
    jobs = stored_jobs(target, specification)
    meant = closest(specification.job, jobs)
    started = f"start it with 'migrate'; jobs there are: {', '.join(jobs) or 'none'}"
    return Problem(
        ErrorCode.USER_001,
        f"there is no job '{specification.job}' in the target",
        "--job",
        f"did you mean --job {meant}?" if meant else started,
    )


def _watched(
    target: psycopg.Connection[Any], specification: Specification, status: JobStatus
) -> JobStatus:
    shown = Live(_rendered(status), console=stdout(), auto_refresh=False)
    with suppress(KeyboardInterrupt), shown as live:
        while not status.ended:
            wait()
            status = read_status(target, specification)
            live.update(_rendered(status), refresh=True)
    return status


def wait() -> None:
    """Lets time pass until the next look."""
    time.sleep(INTERVAL)


def _rendered(status: JobStatus) -> RenderableType:
    summary = status.summary
    if not status.has_run:
        return Text(f"The job '{summary.job}' is being planned.")
    rows = []
    for name, load in summary.tables.items():
        planned = status.planned.get(name)
        rows.append(
            (
                name,
                load.into,
                "-" if planned is None else _percent(load.read, planned),
                f"{load.read:,} of {planned or 0:,}",
                *(f"{count:,}" for count in (load.accepted, load.rejected, load.skipped)),
                f"{load.partitions_done}/{load.partitions}",
                str(load.partitions_failed),
            )
        )
    numbers = ("done", "read", "accepted", "rejected", "skipped", "partitions", "failed")
    table = table_of(_title(status), ("load", "into"), numbers, rows)
    return Group(table, *code_tables(summary))


def _title(status: JobStatus) -> str:
    summary = status.summary
    read = sum(load.read for load in summary.tables.values())
    planned = sum(status.planned.values())
    title = f"{summary.job}: {summary.state} after {summary.seconds:.1f} s"
    if status.held and summary.state != "running":
        title += ", and a process is at work on it"
    if summary.state == "complete" or not planned:
        return title
    title += f", {_percent(read, planned)} of {planned:,} rows"
    if summary.state == "running" and read and summary.seconds:
        rate = read / summary.seconds
        title += f", {rate:,.0f} rows/s, {(planned - read) / rate:,.0f} s to go"
    return title


def _percent(done: int, planned: int) -> str:
    return f"{100 * done // planned if planned else 100} %"
