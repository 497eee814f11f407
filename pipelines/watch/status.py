"""The status of a job: how far it is, read from its ledger."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.failures import read_failures
from pipelines.ledger.index_store import unbuilt_indexes
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.run_rows import StoredRun
from pipelines.ledger.run_summary import read_summary
from pipelines.terminal.flag_check import closest
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.run_metrics import RunSample, StoredAlert
from schemas.specification.root import Specification
from schemas.summary import Summary
from transforms.postgres.connections import connect

INTERVAL = 1.0
"""Seconds between two looks at the ledger of a job that is watched."""

_RUNS = 20
"""Runs that a status has at most."""


@dataclass(frozen=True)
class JobStatus:
    """The state of a job at one instant.

    Attributes:
        summary: The counts of its loads.
        is_held: Whether a process has the job. It may be planning it still, or replaying rows.
        has_run: False before the job's first run.
        planned: Source rows by load.
        failures: Why partitions failed, and indexes that an ended run has left to be built.
        alerts: The metrics of a run that are beyond their limits.
        sample: The latest measures of a run, with their moment; None if there are none.
        runs: The latest runs, the last one first.
    """

    summary: Summary
    is_held: bool
    has_run: bool
    planned: Mapping[str, int]
    failures: tuple[Problem, ...]
    alerts: tuple[StoredAlert, ...] = ()
    sample: tuple[datetime, RunSample] | None = None
    runs: tuple[StoredRun, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether nothing changes any more by itself. A paused run doesn't hold the job."""
        return not self.is_held and self.summary.state != "paused"


def status(specification: Specification) -> JobStatus:
    """Read the status of a job.

    Args:
        specification: The job's.

    Returns:
        The status at this moment.

    Raises:
        TransfuseError: USER-001 if there is no such job; with exit status 3 if the target can't be
            reached.
    """
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        return _read_existing(ledger)


def watch_status(specification: Specification) -> Generator[JobStatus, None, None]:
    """Read the status of a job about once a second, until it has ended.

    The connection to the target is kept from the first status to the last: close the iterator, or
    read it to its end.

    Args:
        specification: The job's.

    Yields:
        The status at each moment, at least one; the last one of a job that has ended.

    Raises:
        TransfuseError: As ``status`` raises.
    """
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        current = _read_existing(ledger)
        yield current
        while not current.has_ended:
            wait()
            current = read_status(ledger)
            yield current


def wait() -> None:
    """Let time pass until the next look at the ledger."""
    time.sleep(INTERVAL)


def read_status(ledger: JobLedger) -> JobStatus:
    """Read the status of a job, all of one snapshot, and write nothing.

    Args:
        ledger: The job's.

    Returns:
        The status, also for a job that doesn't exist.
    """
    held = ledger.lock.is_held()
    with ledger.connection.transaction():
        ledger.session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        summary = read_summary(ledger, held)
        if ledger.job.read() is None:
            return JobStatus(summary, held, False, {}, ())
        # A run that is at work builds them itself.
        at_work = held or summary.state == "paused"
        unbuilt = () if at_work else unbuilt_indexes(ledger)
        planned = {name: load.planned for name, load in ledger.counts.read_loads().items()}
        failures = (*read_failures(ledger), *unbuilt)
        alerts = tuple(ledger.alerts.read_current()) if at_work else ()
        sample = ledger.metrics.read_latest()
        runs = tuple(ledger.runs.read_latest(_RUNS))
        return JobStatus(summary, held, True, planned, failures, alerts, sample, runs)


def _read_existing(ledger: JobLedger) -> JobStatus:
    current = read_status(ledger)
    if not current.has_run and not current.is_held:
        raise TransfuseError(_no_such_job(ledger))
    return current


def _no_such_job(ledger: JobLedger) -> Problem:
    specification = ledger.specification
    jobs = ledger.job.read_names()
    meant = closest(specification.job, jobs)
    started = f"start it with 'migrate'; jobs there are: {', '.join(jobs) or 'none'}"
    return Problem(
        ErrorCode.USER_001,
        f"there is no job '{specification.job}' in the target",
        "--job",
        f"did you mean --job {meant}?" if meant else started,
    )
