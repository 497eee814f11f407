"""``pause``, ``resume``, ``stop``: what is wanted of a job, told to whoever runs it.

The wanted state stands in the job's row. Workers look there before each partition, on any
runner; the process that launched a paused run looks there until it is to go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from pipelines.databases.connected import connect_patiently
from pipelines.ledger.job import control_table, stored_job
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_lock import is_running
from pipelines.ledger.job_row import StoredJob, Wanted
from pipelines.ledger.run_summary import read_summary
from pipelines.terminal.console import print_json, stdout
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect

INTERVAL = 1.0
"""Seconds between two looks at what is wanted; each has a connection of its own."""

PATIENCE = 10.0
"""Seconds after which a paused run that doesn't go on is taken for dead."""


def show_pause(specification: Specification, as_json: bool) -> None:
    """Asks a running job to pause: what is in work is committed, then no connection is held.

    Raises TransfuseError (USER-003) where the job isn't running.
    """
    with connect(specification.target.url) as target:
        _refuse_unless(target, specification, ("running",), "pause")
        JobLedger(target, specification).job.set_wanted("pause")
        _tell(target, specification, "pauses when what is in work is committed", as_json)


def show_stop(specification: Specification, as_json: bool) -> None:
    """Asks a running or paused job to stop; starting it again continues.

    An engine may go on with a run whose launcher was killed: it is stopped too. Raises
    TransfuseError (USER-003) where the job is neither.
    """
    with connect(specification.target.url) as target:
        if _stopped_without_launcher(target, specification):
            told = "has no launcher any more; what an engine still has in work for it is committed"
            _tell(target, specification, told, as_json)
            return
        state = _refuse_unless(target, specification, ("running", "paused"), "stop")
        JobLedger(target, specification).job.set_wanted("stop")
        if state == "paused":
            target.execute(
                sql.SQL(
                    "UPDATE {} SET state = 'stopped' WHERE job_id = %s AND state = 'paused'"
                ).format(control_table(specification, "migration_jobs")),
                [specification.job],
            )
        told = "is stopped" if state == "paused" else "stops when what is in work is committed"
        _tell(target, specification, told, as_json)


def _stopped_without_launcher(
    target: psycopg.Connection[Any], specification: Specification
) -> bool:
    """Stops a run whose launcher is gone; False where there is none."""
    job = stored_job(target, specification)
    if job is None or job.state != "running":
        return False
    with target.transaction():
        if is_running(target, specification, specification.job):
            return False
        target.execute(
            sql.SQL("UPDATE {} SET wanted = 'stop', state = 'stopped' WHERE job_id = %s").format(
                control_table(specification, "migration_jobs")
            ),
            [specification.job],
        )
    return True


def show_resume(specification: Specification, as_json: bool) -> None:
    """Has a paused job go on, and waits until it does.

    Raises TransfuseError (USER-003) where the job isn't paused, or where the process that
    paused is gone.
    """
    with connect(specification.target.url) as target:
        job = _refuse_unless(target, specification, ("running", "paused"), "resume")
        if job == "running" and JobLedger(target, specification).job.read_wanted() != "pause":
            raise _refusal(specification, "is running already", "look at 'status'")
        # A run that is still pausing would miss the partitions that it has passed over.
        _until(lambda: _state(target, specification) != "running")
        JobLedger(target, specification).job.set_wanted("run")
        if not _until(lambda: _state(target, specification) != "paused", PATIENCE):
            raise _refusal(
                specification,
                "is paused, and the process that ran it doesn't answer",
                "start it again with 'migrate'",
            )
        _tell(target, specification, "goes on", as_json)


def wait_while_paused(specification: Specification) -> Wanted:
    """Waits without a connection until something else than a pause is wanted."""
    while True:
        with connect_patiently(specification, specification.target.url) as target:
            found = JobLedger(target, specification).job.read_wanted()
        if found != "pause":
            return found
        time.sleep(INTERVAL)


def _refuse_unless(
    target: psycopg.Connection[Any],
    specification: Specification,
    states: tuple[str, ...],
    verb: str,
) -> str:
    """The job's state as its row has it. Raises TransfuseError where it is none of ``states``."""
    job = stored_job(target, specification)
    if job is None:
        raise _refusal(specification, "has not run yet", "start it with 'migrate'")
    state = read_summary(target, specification).state
    # A run that is pausing is shown as paused, and can still be told something else.
    known = job.state if state == "paused" else state
    if known not in states:
        remedy = "nothing is left to do" if state == "complete" else "continue it with 'migrate'"
        raise _refusal(specification, f"is {state}: there is nothing to {verb}", remedy)
    return known


def _state(target: psycopg.Connection[Any], specification: Specification) -> str:
    job: StoredJob | None = stored_job(target, specification)
    return "incomplete" if job is None else job.state


def _until(condition: Callable[[], bool], patience: float | None = None) -> bool:
    """Waits for a condition, at most ``patience`` seconds; whether it came to hold."""
    begun = time.monotonic()
    while not condition():
        if patience is not None and time.monotonic() - begun > patience:
            return False
        time.sleep(INTERVAL / 4)
    return True


def _refusal(specification: Specification, told: str, remedy: str) -> TransfuseError:
    message = f"the job '{specification.job}' {told}"
    return TransfuseError(Problem(ErrorCode.USER_003, message, remedy=remedy))


def _tell(
    target: psycopg.Connection[Any], specification: Specification, told: str, as_json: bool
) -> None:
    if as_json:
        print_json(read_summary(target, specification).model_dump())
    else:
        stdout().print(f"The job '{specification.job}' {told}.", markup=False)
