"""The connections to the target of one worker process, lent to one conversation at a time.

A conversation borrows one connection and asks for no second meanwhile, so a limit of one is
enough for any run, and there are no deadlocks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from transforms.model.run_context import RunContext
from transforms.postgres.connections import add_session_name, connect

IDLE_SECONDS = 10
"""How long a connection is kept while it isn't borrowed: the guide's idle time-out."""


FROZEN_SECONDS = 120
"""How long the server waits for the next statement of a transaction: longer than a step computes
between two of them, and by default shorter than other sessions retry for its locks."""


class ConnectionPool:
    """At most ``most`` connections to ``url`` at once.

    Idle connections are kept for ``idle`` seconds. After six times as long the server ends them,
    since a process of a cluster may not use its pool again. The server also ends sessions whose
    transaction had no statement for ``frozen`` seconds, and rolls them back: the process is frozen,
    and its locks would block the job.
    """

    def __init__(
        self, url: str, most: int, idle: float = IDLE_SECONDS, frozen: float = FROZEN_SECONDS
    ) -> None:
        self._url = url
        self._places = threading.BoundedSemaphore(most)
        self._idle_seconds = idle
        self._settings = {
            "idle_session_timeout": f"{round(6000 * idle)}ms",
            "idle_in_transaction_session_timeout": f"{round(1000 * frozen)}ms",
        }
        self._idle: list[tuple[float, psycopg.Connection[Any]]] = []

    @contextmanager
    def lent(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend a connection for the context. Raises TransfuseError with a CONN code."""
        with self._places:
            connection = self._take_idle() or connect(self._url, settings=self._settings)
            try:
                yield connection
            finally:
                if connection.info.transaction_status == TransactionStatus.IDLE:
                    self._idle.append((time.monotonic(), connection))
                elif connection.broken:
                    # The idle ones are then broken as well.
                    self.close()
                else:
                    connection.close()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Reserve a place for a connection that another driver opens within the context."""
        with self._places:
            # An idle connection takes a place that is needed now.
            idle = self._take_idle()
            if idle is not None:
                idle.close()
            yield

    def close(self) -> None:
        """Close the idle connections."""
        while (idle := self._take_idle()) is not None:
            idle.close()

    def _take_idle(self) -> psycopg.Connection[Any] | None:
        """The connection that was used last, if the server hasn't ended it meanwhile."""
        with suppress(IndexError):
            while True:
                since, connection = self._idle.pop()
                if time.monotonic() - since < self._idle_seconds:
                    return connection
                connection.close()
        return None


_pools: dict[tuple[str, int], ConnectionPool] = {}
_lock = threading.Lock()


def target_pool(context: RunContext) -> ConnectionPool:
    """This process's pool of the run's target."""
    key = (add_session_name(context.target, context.session_name), context.target_connections)
    with _lock:
        if key not in _pools:
            _pools[key] = ConnectionPool(*key)
        return _pools[key]


@contextmanager
def close_at_end() -> Iterator[None]:
    """Close the idle connections of all pools of this process when the context ends."""
    try:
        yield
    finally:
        with _lock:
            for pool in _pools.values():
                pool.close()
