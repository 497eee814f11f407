"""Shows the progress of a run from its ledger: rows, their rate, time left, blockers."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipelines.connections.blocking import LOOK_INTERVAL, Blockers
from pipelines.connections.watcher import Watcher, watch_meanwhile
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.ledger_counts import RunProgress
from pipelines.terminal.console import stderr
from pipelines.terminal.throughput import Sample, Throughput
from schemas.specification.root import Specification
from transforms.model.log_event import log_problem

logger = logging.getLogger("transfuse.run")

INTERVAL = 0.5
"""Seconds between two looks at the ledger."""

PLAIN_INTERVAL = 10.0
"""Seconds between two lines where stderr is no terminal."""


@contextmanager
def show_progress(specification: Specification, session_name: str) -> Iterator[None]:
    """Show the progress of the job on stderr until the context ends, and log its blockers.

    Args:
        specification: The job's.
        session_name: The target's name for the sessions of the run's steps.
    """
    with watch_meanwhile(lambda ended: _watch(specification, session_name, ended)):
        yield


def _watch(specification: Specification, session_name: str, ended: threading.Event) -> None:
    console = stderr()
    throughput = Throughput(specification.job)
    blockers = Blockers()
    looked = time.monotonic()

    def wait(seconds: float) -> bool:
        """Wait; False if the context has ended meanwhile."""
        nonlocal looked
        waits = math.ceil(seconds / LOOK_INTERVAL)
        for _ in range(waits):
            if ended.wait(seconds / waits):
                return False
            if time.monotonic() - looked >= LOOK_INTERVAL:
                looked = time.monotonic()
                watcher.ask(blockers.log_new)
        return True

    def read_counts() -> RunProgress | None:
        return watcher.ask(
            lambda target: _read_counts(JobLedger(target, specification), throughput)
        )

    with closing(Watcher(specification.target.url, session_name)) as watcher:
        if not console.is_terminal:
            while wait(PLAIN_INTERVAL):
                counts = read_counts()
                if counts is not None:
                    console.print(f"{counts.read:,} of {counts.planned:,} rows", markup=False)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows, {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task: TaskID | None = None
            while wait(INTERVAL):
                counts = read_counts()
                if counts is None:
                    continue
                if task is None:
                    task = progress.add_task(specification.job, total=counts.planned, rate="")
                _update(progress, task, counts)


def _update(progress: Progress, task: TaskID, counts: RunProgress) -> None:
    speed = progress.tasks[0].speed
    rate = f"{speed:,.0f} rows/s" if speed else ""
    progress.update(task, completed=counts.read, total=counts.planned, rate=rate)


def _read_counts(ledger: JobLedger, throughput: Throughput) -> RunProgress | None:
    """How far the job is; None as long as nothing is planned. A collapse is logged.

    Raises psycopg.Error.
    """
    progress = ledger.counts.read_progress()
    if progress is None:
        return None
    if not progress.is_loading:
        # Duplicates are searched for, or a level is settled: that moves no rows.
        throughput.restart()
        return progress
    collapse = throughput.add(Sample(time.monotonic(), progress.read))
    if collapse is not None:
        log_problem(logger, logging.WARNING, collapse)
    return progress
