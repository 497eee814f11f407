"""Names the sessions that hold locks for which the steps or the launcher of a command wait."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from pipelines.connections.watcher import Watcher, watch_meanwhile
from schemas.errors import ErrorCode, Problem
from transforms.model.log_event import log_problem

logger = logging.getLogger("transfuse.blocking")

PATIENCE = 10.0
"""Seconds after which a wait is reported: writers wait for each other in passing."""
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
      AND CASE WHEN %(waiting)s::int IS NOT NULL THEN w.pid = %(waiting)s
          ELSE w.application_name =
              (SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()) END
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
lock itself. The waiting session is a certain one, or has the name of the one that asks. The server
may hide the state of a blocker of another role."""


@contextmanager
def log_blockers(target: str, session_name: str) -> Iterator[None]:
    """Log the sessions that hold a run up until the context ends, over a connection of its own.

    Args:
        target: The URL of the server.
        session_name: The server's name for the sessions of the run's steps.
    """

    def watch(ended: threading.Event) -> None:
        blockers = Blockers()
        with closing(Watcher(target, session_name)) as watcher:
            while not ended.wait(LOOK_INTERVAL):
                watcher.ask(blockers.log_new)

    with watch_meanwhile(watch):
        yield


@contextmanager
def log_blockers_of_launcher(connections: Mapping[str, Opened], name: str) -> Iterator[None]:
    """Log the sessions that hold up a launcher's own ones until the context ends.

    A further connection is only opened once a session has been busy for a while.

    Args:
        connections: The launcher's connections by the names of their databases in messages.
        name: The server's name for the sessions that look.
    """
    watches = [_Watch(where, *opened, name) for where, opened in connections.items()]

    def watch(ended: threading.Event) -> None:
        while not ended.wait(LOOK_INTERVAL / 2):
            for one in watches:
                one.look()
        for one in watches:
            one.close()

    with watch_meanwhile(watch):
        yield


class Opened(NamedTuple):
    """A connection, and the URL that leads to its server."""

    url: str
    connection: psycopg.Connection[Any]


class _Watch:
    """Looks at one session of the launcher from outside, once it has been busy for a while."""

    def __init__(
        self, where: str, url: str, connection: psycopg.Connection[Any], name: str
    ) -> None:
        self._url, self._connection, self._name = url, connection, name
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        self._blockers = Blockers(PATIENCE - LOOK_INTERVAL, where, row[0] if row else None)
        self._busy_since: float | None = None
        self._watcher: Watcher | None = None

    def look(self) -> None:
        busy = self._connection.info.transaction_status == TransactionStatus.ACTIVE
        now = time.monotonic()
        self._busy_since = (self._busy_since or now) if busy else None
        if self._busy_since is None or now - self._busy_since < PATIENCE / 2:
            return
        if self._watcher is None:
            self._watcher = Watcher(self._url, self._name)
        self._watcher.ask(self._blockers.log_new)

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()


class Blockers:
    """Reports each session once that holds up a command for too long.

    Args:
        patience: How many seconds are too long; None for PATIENCE.
        where: The name of the database in messages.
        waiting: The server process of the session that waits; None for all sessions that have the
            name of the one that asks.
    """

    def __init__(
        self, patience: float | None = None, where: str = "the target", waiting: int | None = None
    ) -> None:
        self._patience = PATIENCE if patience is None else patience
        self._where = where
        self._waiting = waiting
        self._reported: set[int] = set()

    def look(self, connection: psycopg.Connection[Any]) -> list[Problem]:
        """Look for sessions that weren't reported yet.

        Their statements aren't reported: they may hold values of rows.

        Args:
            connection: A connection that has the name of the run's sessions.

        Returns:
            A problem for each (SYS-005).

        Raises:
            psycopg.Error: The server can't be asked.
        """
        values = {"patience": self._patience, "waiting": self._waiting}
        rows = connection.execute(_BLOCKERS.encode(), values).fetchall()
        new = [row for row in rows if row[0] not in self._reported]
        self._reported.update(row[0] for row in new)
        return [_problem(self._where, *row) for row in new]

    def log_new(self, connection: psycopg.Connection[Any]) -> None:
        """Log the problems that ``look`` returns; it raises the same."""
        for problem in self.look(connection):
            log_problem(logger, logging.WARNING, problem)


def _problem(
    where: str,
    pid: int,
    name: str,
    state: str | None,
    waits_for_client: bool | None,
    since: float | None,
    waiting: int,
    seconds: float,
) -> Problem:
    have = "session of this run has" if waiting == 1 else "sessions of this run have"
    message = f"{waiting} {have} waited up to {seconds:.0f} s for a lock that it holds"
    if state is not None and waits_for_client and since is not None:
        message += f"; it has heard nothing of its client for up to {since:.0f} s ({state})"
    return Problem(
        ErrorCode.SYS_005,
        message,
        f"session {pid} ('{name}') of {where}",
        "wait, if its process is at work; if that is frozen or cut off, end it, or the session:"
        f" SELECT pg_terminate_backend({pid})",
    )
