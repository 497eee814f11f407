"""The connections to the target of one worker process, lent to one conversation at a time.

A conversation borrows one connection and asks for no second meanwhile, so a limit of one is
enough for any run, and nobody waits for somebody who waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from transforms.connections import connect
from transforms.run_context import RunContext


class ConnectionPool:
    """At most ``most`` connections to ``url`` at once; those that are idle are kept."""

    def __init__(self, url: str, most: int) -> None:
        self._url = url
        self._places = threading.BoundedSemaphore(most)
        self._idle: list[psycopg.Connection[Any]] = []

    @contextmanager
    def lent(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for the context alone. Raises TransfuseError with a CONN code."""
        with self._places:
            connection = self._known() or connect(self._url)
            try:
                yield connection
            finally:
                if connection.info.transaction_status == TransactionStatus.IDLE:
                    self._idle.append(connection)
                elif connection.broken:
                    # What broke one has broken those that were idle as well.
                    self.close()
                else:
                    connection.close()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Room for a connection that another driver opens and closes within the context."""
        with self._places:
            # An idle connection takes a place that is needed now.
            idle = self._known()
            if idle is not None:
                idle.close()
            yield

    def close(self) -> None:
        """Closes what is idle."""
        while (idle := self._known()) is not None:
            idle.close()

    def _known(self) -> psycopg.Connection[Any] | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None


_pools: dict[tuple[str, int], ConnectionPool] = {}
_lock = threading.Lock()


def target_pool(context: RunContext) -> ConnectionPool:
    """This process's pool of the run's target."""
    key = (context.target, context.target_connections)
    with _lock:
        if key not in _pools:
            _pools[key] = ConnectionPool(*key)
        return _pools[key]


@contextmanager
def closed_at_the_end() -> Iterator[None]:
    """Closes the idle connections of all pools of this process when the context ends."""
    try:
        yield
    finally:
        with _lock:
            for pool in _pools.values():
                pool.close()
