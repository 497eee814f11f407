"""A connection by which a run is looked at while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from schemas.errors import TransfuseError
from transforms.postgres.connections import add_session_name, connect

_CONNECT_SECONDS = 5
"""Seconds: the end of a run waits for the look that is under way."""

Seen = TypeVar("Seen")


class Watcher:
    """Asks a server, in the name of a run's steps, and connects again when a connection is lost.

    To be used from one thread.

    Args:
        target: The URL of the server.
        session_name: The server's name for the sessions of the steps.
    """

    def __init__(self, target: str, session_name: str) -> None:
        self._url = make_conninfo(
            add_session_name(target, session_name), connect_timeout=_CONNECT_SECONDS
        )
        self._connection: psycopg.Connection[Any] | None = None

    def ask(self, look: Callable[[psycopg.Connection[Any]], Seen]) -> Seen | None:
        """Call a function with a connection.

        Args:
            look: Asks the server.

        Returns:
            Its result; None where the server can't be asked, which the steps report themselves.
        """
        try:
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._url)
            return look(self._connection)
        except (psycopg.Error, TransfuseError):
            return None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()


@contextmanager
def watch_meanwhile(watch: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run a function in a thread of its own until the context ends.

    Args:
        watch: It returns soon after its event is set.
    """
    ended = threading.Event()
    thread = threading.Thread(target=watch, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
