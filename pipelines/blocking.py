"""Who holds the locks for which the steps of a run wait, as the target's server says."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from pipelines.watcher import Watcher, watched
from schemas.errors import ErrorCode, Problem

logger = logging.getLogger("transfuse")

PATIENCE = 10.0
"""Seconds after which a wait is told: writers wait for each other in passing."""
LOOK_INTERVAL = 2.0
"""Seconds at least between two looks."""

_BLOCKERS = """
WITH RECURSIVE held(pid, waiter, seconds) AS (
    SELECT blocking.pid, w.pid, extract(epoch FROM statement_timestamp() - l.waitstart)::float8
    FROM pg_stat_activity w
    JOIN pg_locks l ON l.pid = w.pid AND NOT l.granted
    CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocking(pid)
    WHERE w.datname = current_database()
      AND l.waitstart < statement_timestamp() - make_interval(secs => %(patience)s)
      AND w.application_name =
          (SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid())
    UNION
    SELECT blocking.pid, waiter, seconds
    FROM held CROSS JOIN LATERAL unnest(pg_blocking_pids(held.pid)) AS blocking(pid)
)
SELECT b.pid, b.application_name, b.state, b.wait_event = 'ClientRead',
    extract(epoch FROM statement_timestamp() - b.state_change)::float8,
    count(DISTINCT waiter), max(seconds)
FROM held JOIN pg_stat_activity b ON b.pid = held.pid
WHERE b.wait_event_type IS DISTINCT FROM 'Lock'
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1
"""
"""One row for each session that others wait for, directly or behind a third, and that waits for no
lock itself. Who waits has the name of the session that asks. Of a blocker of another role the
server may hide the state."""


@contextmanager
def blockers_logged(target: str, session_name: str) -> Iterator[None]:
    """Logs who holds a run up until the context ends, over a connection of its own.

    ``session_name`` is what the server of ``target`` calls the sessions of the run's steps.
    """

    def watch(ended: threading.Event) -> None:
        blockers = Blockers()
        with closing(Watcher(target, session_name)) as watcher:
            while not ended.wait(LOOK_INTERVAL):
                watcher.ask(blockers.log_new)

    with watched(watch):
        yield


class Blockers:
    """Tells each session once that holds up a run for longer than ``patience`` seconds (else
    PATIENCE)."""

    def __init__(self, patience: float | None = None) -> None:
        self._patience = PATIENCE if patience is None else patience
        self._told: set[int] = set()

    def look(self, connection: psycopg.Connection[Any]) -> list[Problem]:
        """What is new, asked over a connection that has the name of the run's sessions.

        What a session does isn't told: its statement may hold values of rows. Raises psycopg.Error.
        """
        rows = connection.execute(_BLOCKERS.encode(), {"patience": self._patience}).fetchall()
        new = [row for row in rows if row[0] not in self._told]
        self._told.update(row[0] for row in new)
        return [_problem(*row) for row in new]

    def log_new(self, connection: psycopg.Connection[Any]) -> None:
        """Logs what ``look`` finds. Raises psycopg.Error."""
        for problem in self.look(connection):
            logger.warning("%s", problem)


def _problem(
    pid: int,
    name: str,
    state: str | None,
    waits_for_client: bool | None,
    since: float | None,
    waiting: int,
    seconds: float,
) -> Problem:
    have = "session of this run has" if waiting == 1 else "sessions of this run have"
    told = f"{waiting} {have} waited up to {seconds:.0f} s for a lock that it holds"
    if state is not None and waits_for_client and since is not None:
        told += f"; it has heard nothing of its client for up to {since:.0f} s ({state})"
    return Problem(
        ErrorCode.SYS_005,
        told,
        f"session {pid} ('{name}') of the target",
        "wait, if its process is at work; if that is frozen or cut off, end it, or the session:"
        f" SELECT pg_terminate_backend({pid})",
    )
