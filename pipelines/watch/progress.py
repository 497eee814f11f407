"""Progress of a run, read from the ledger: rows, rows per second, time that remains; and who holds
it up."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg import sql
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipelines.connections.blocking import LOOK_INTERVAL, Blockers
from pipelines.connections.watcher import Watcher, watch_meanwhile
from pipelines.ledger.job import control_table
from pipelines.terminal.console import stderr
from pipelines.terminal.throughput import Sample, Throughput
from schemas.specification.root import Specification

logger = logging.getLogger("transfuse")

INTERVAL = 0.5
"""Seconds between two looks at the ledger."""

PLAIN_INTERVAL = 10.0
"""Seconds between two lines where nobody watches (stderr is no terminal)."""


@contextmanager
def shown_progress(specification: Specification, session_name: str) -> Iterator[None]:
    """Shows the progress of the job on stderr until the context ends, and logs who holds it up.

    ``session_name`` is what the target calls the sessions of the run's steps.
    """
    with watch_meanwhile(lambda ended: _watch(specification, session_name, ended)):
        yield


def _watch(specification: Specification, session_name: str, ended: threading.Event) -> None:
    console = stderr()
    throughput = Throughput(specification.job)
    blockers = Blockers()
    looked = time.monotonic()

    def passed(seconds: float) -> bool:
        """Lets time pass; whether the context goes on."""
        nonlocal looked
        waits = math.ceil(seconds / LOOK_INTERVAL)
        for _ in range(waits):
            if ended.wait(seconds / waits):
                return False
            if time.monotonic() - looked >= LOOK_INTERVAL:
                looked = time.monotonic()
                watcher.ask(blockers.log_new)
        return True

    def counted() -> tuple[int, int] | None:
        return watcher.ask(lambda target: _counts(target, specification, throughput))

    with closing(Watcher(specification.target.url, session_name)) as watcher:
        if not console.is_terminal:
            while passed(PLAIN_INTERVAL):
                counts = counted()
                if counts is not None:
                    console.print(f"{counts[0]:,} of {counts[1]:,} rows", markup=False)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows, {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task: TaskID | None = None
            while passed(INTERVAL):
                counts = counted()
                if counts is None:
                    continue
                if task is None:
                    task = progress.add_task(specification.job, total=counts[1], rate="")
                _update(progress, task, *counts)


def _update(progress: Progress, task: TaskID, done: int, planned: int) -> None:
    speed = progress.tasks[0].speed
    rate = f"{speed:,.0f} rows/s" if speed else ""
    progress.update(task, completed=done, total=planned, rate=rate)


def _counts(
    connection: psycopg.Connection[Any], specification: Specification, throughput: Throughput
) -> tuple[int, int] | None:
    """Rows of committed partitions, and of all planned ones; None as long as nothing is planned.

    A collapse is logged. Raises psycopg.Error.
    """
    row = connection.execute(
        sql.SQL(
            "SELECT coalesce(sum(p.read), 0)::int8, coalesce(sum(p.planned_rows), 0)::int8,"
            " bool_or(p.state <> 'done' AND l.compared AND l.level ="
            "  (SELECT min(level) FROM {loads} u WHERE u.job_id = l.job_id AND NOT u.settled))"
            " FROM {partitions} p JOIN {loads} l USING (job_id, load) WHERE p.job_id = %s"
        ).format(
            partitions=control_table(specification, "migration_partitions"),
            loads=control_table(specification, "migration_loads"),
        ),
        [specification.job],
    ).fetchone()
    if row is None or not row[1]:
        return None
    done, planned, loading = row
    if not loading:
        # Duplicates are searched for, or a level is settled: that moves no rows.
        throughput.restart()
        return done, planned
    collapse = throughput.add(Sample(time.monotonic(), done))
    if collapse is not None:
        logger.warning("%s", collapse)
    return done, planned
