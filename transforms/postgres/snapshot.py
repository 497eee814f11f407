"""The snapshot of a PostgreSQL source that a run reads: exported once, used by every reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import psycopg
from psycopg import sql

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

_NO_SUCH_SNAPSHOT = ("22023", "42704", "55000")
"""invalid_parameter_value, undefined_object from PostgreSQL 17 on, and
object_not_in_prerequisite_state where it went at this very moment."""

GONE = Problem(
    ErrorCode.CONN_004,
    "the connection that holds the source as the run sees it is lost",
    "the source",
    "start again to continue under another snapshot",
)
_ELSEWHERE = Problem(
    ErrorCode.CONN_004,
    "the connection has reached another server than the launcher, or one that was restarted since",
    "the source",
    "name one server in the URL, not a load balancer or reader endpoint, and start again",
)


class SnapshotGone(TransfuseError):
    """The snapshot of the run is lost for good (CONN-004).

    It lives as long as the connection that exported it. Another snapshot could show another state
    of the source.
    """


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot: its name, and what distinguishes it from others of that name.

    The server makes the name of the session's place and a counter, which start again when the
    server does: another session's snapshot can have the name then. It can even list the same
    transactions, if a crash has undone some and others have their numbers now.
    """

    name: str
    contents: str
    """The transactions that it sees, and since when the server runs (seconds of Unix time)."""

    @property
    def since(self) -> str:
        """The start of the server (seconds of Unix time)."""
        return self.contents.split()[-1]


_SINCE = "extract(epoch FROM pg_postmaster_start_time())::text"
_CONTENTS = f"pg_current_snapshot()::text || ' ' || {_SINCE}"


def export_snapshot(connection: psycopg.Connection[Any]) -> Snapshot:
    """Begin the transaction of the snapshot, REPEATABLE READ and READ ONLY, and export it."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = connection.execute(f"SELECT pg_export_snapshot(), {_CONTENTS}".encode()).fetchone()
    assert row is not None
    return Snapshot(*row)


def take_snapshot(cursor: adbc_driver_postgresql.dbapi.Cursor, snapshot: Snapshot) -> None:
    """Begin a transaction that sees what the exporting one does.

    Raises:
        SnapshotGone: the exporting transaction has ended.
        adbc_driver_manager.Error: anything else.
    """
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        cursor.execute(f"SET TRANSACTION SNAPSHOT {sql.quote(snapshot.name)}")
    except adbc_driver_manager.Error as error:
        if str(error.sqlstate or "").startswith(_NO_SUCH_SNAPSHOT):
            raise SnapshotGone(_explain_loss(cursor, snapshot), ExitStatus.INCOMPLETE) from error
        raise
    cursor.execute(f"SELECT {_CONTENTS}")
    if cursor.fetchone() != (snapshot.contents,):
        raise SnapshotGone(_explain_loss(cursor, snapshot), ExitStatus.INCOMPLETE)


def refuse_another_server(connection: psycopg.Connection[Any], snapshot: Snapshot) -> None:
    """Raise SnapshotGone if a connection leads to another server than that of the snapshot."""
    if connection.execute(f"SELECT {_SINCE}".encode()).fetchone() != (snapshot.since,):
        raise SnapshotGone(_ELSEWHERE, ExitStatus.INCOMPLETE)


def _explain_loss(cursor: adbc_driver_postgresql.dbapi.Cursor, snapshot: Snapshot) -> Problem:
    """The problem of a lost snapshot; the start of the server says whether it is the same one."""
    cursor.execute("ROLLBACK")
    cursor.execute(f"SELECT {_SINCE}")
    return GONE if cursor.fetchone() == (snapshot.since,) else _ELSEWHERE
