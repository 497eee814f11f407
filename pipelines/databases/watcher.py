"""A connection by which a run is looked at while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from schemas.errors import TransfuseError
from transforms.postgres.connections import connect, named

_CONNECTS_WITHIN = 5
"""Seconds: the end of a run waits for the look that is under way."""

Seen = TypeVar("Seen")


class Watcher:
    """Asks the target, in the name of a run's steps. A connection that is lost is made anew.

    ``session_name`` is what the server calls the sessions of the steps. Use from one thread.
    """

    def __init__(self, target: str, session_name: str) -> None:
        self._url = make_conninfo(named(target, session_name), connect_timeout=_CONNECTS_WITHIN)
        self._connection: psycopg.Connection[Any] | None = None

    def ask(self, look: Callable[[psycopg.Connection[Any]], Seen]) -> Seen | None:
        """What ``look`` gives; None where the server can't be asked: the steps find out themselves
        what is the matter with it."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._url)
            return look(self._connection)
        except (psycopg.Error, TransfuseError):
            return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@contextmanager
def watched(watch: Callable[[threading.Event], None]) -> Iterator[None]:
    """Has ``watch`` look at a run, in a thread of its own, until the context ends and the event
    says so."""
    ended = threading.Event()
    thread = threading.Thread(target=watch, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
