"""Connection poolers in front of a server, such as PgBouncer.

One that gives each transaction, or each statement, whichever session of the server is free can't be
worked with: the lock of a job would be another client's, settings would change under others, and a
snapshot or a temporary table would be gone with the next statement. One that keeps a session for
as long as a client is connected is as good as none.
"""

from __future__ import annotations

import select
import time
from contextlib import closing
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

from schemas.errors import ErrorCode, Problem, TransfuseError

_QUESTIONS = 3
"""A pooler that takes turns among free sessions gives another one with the next question."""

_PATIENCE = 3.0
"""Seconds that a second client waits for a session. The first one is idle meanwhile, so where it
gets none, the first one has kept its own."""


def refuse_shared_sessions(connection: psycopg.Connection[Any], conninfo: str, place: str) -> None:
    """Refuse a pooler that gives the session of an idle client to others.

    Nothing is written, and no setting changed, to find that out.

    Args:
        connection: an open connection, in no transaction.
        conninfo: how to open another one like it.
        place: where it leads to, for the message.

    Raises:
        TransfuseError: SYS-004, exit status 2.
        psycopg.Error: where the server can't be asked.
    """
    seen = [_process(connection) for _ in range(_QUESTIONS)]
    with closing(psycopg.connect(conninfo, autocommit=True)) as other:
        theirs = _process_of_another(other)
    seen.append(_process(connection))
    if len(set(seen)) > 1 or theirs in seen:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                "a connection pooler gives each transaction another session of the server"
                " (transaction or statement mode)",
                place,
                "use the server's own port in the URL, or a database of the pooler with"
                " pool_mode=session",
            )
        )


def _process(connection: psycopg.Connection[Any]) -> int:
    # Without a prepared statement, which the next session wouldn't know.
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(row[0])


def _process_of_another(connection: psycopg.Connection[Any]) -> int | None:
    """The server process of a further client; None where it gets none within the patience."""
    pgconn = connection.pgconn
    pgconn.send_query(b"SELECT pg_backend_pid()")
    pgconn.flush()
    until = time.monotonic() + _PATIENCE
    while True:
        readable, _, _ = select.select([pgconn.socket], [], [], max(0.0, until - time.monotonic()))
        if not readable:
            return None
        pgconn.consume_input()
        if not pgconn.is_busy():
            break
    result = pgconn.get_result()
    if result is None or result.status != ExecStatus.TUPLES_OK:
        return None
    value = result.get_value(0, 0)
    return None if value is None else int(value)
