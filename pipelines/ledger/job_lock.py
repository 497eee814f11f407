"""The lock by which one process at a time has a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.session_settings import CLIENT_CHECK

_SECONDS_TO_LET_GO = 3
"""The server needs a moment to notice that a killed run is gone."""

_SECONDS_AT_WORK = CLIENT_CHECK + 5
"""And longer where that had a statement at work."""

_HOLDER = (
    " WHERE l.locktype = 'advisory' AND l.granted"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND l.objsubid = 1 AND (l.classid::int8 << 32 | l.objid::int8) = hashtextextended(%s, 0)"
)

_HELD = f"SELECT EXISTS (SELECT FROM pg_locks l {_HOLDER})"

_HOLDER_AT_WORK = (
    "SELECT bool_or(a.state = 'active') FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    + _HOLDER
)
"""Whether the session that holds a job is executing a statement."""


@contextmanager
def job_lock(target: psycopg.Connection[Any], specification: Specification) -> Iterator[None]:
    """Holds the job for this process; the lock dies with its connection.

    Raises TransfuseError (USER-003) where another process holds it.
    """
    name = _lock_name(specification, specification.job)
    taken = _taken(target, name, _SECONDS_TO_LET_GO)
    if not taken and target.execute(_HOLDER_AT_WORK.encode(), [name]).fetchone() == (True,):
        taken = _taken(target, name, _SECONDS_AT_WORK)
    if not taken:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"the job '{specification.job}' is running already",
                remedy="wait for it (see 'status'), or stop it first",
            )
        )
    try:
        yield
    finally:
        # With the connection the lock is gone too.
        with suppress(psycopg.OperationalError):
            target.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])


def _taken(target: psycopg.Connection[Any], name: str, seconds: int) -> bool:
    """Whether the lock could be had in that time."""
    try:
        with target.transaction():
            target.execute(f"SET LOCAL lock_timeout = '{seconds}s'".encode())
            target.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _lock_name(specification: Specification, job: str) -> str:
    return f"transfuse/{specification.target.control_schema or ''}/{job}"


def is_held(target: psycopg.Connection[Any], specification: Specification) -> bool:
    """Whether a process holds the specification's job now, this one included; a mere look."""
    held = target.execute(_HELD.encode(), [_lock_name(specification, specification.job)]).fetchone()
    return held == (True,)


def is_running(target: psycopg.Connection[Any], specification: Specification, job: str) -> bool:
    """Whether another process holds a job of the specification's control tables.

    Where none does, none gets it before the end of the transaction that surrounds the call.
    """
    with target.transaction():
        row = target.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))",
            [_lock_name(specification, job)],
        ).fetchone()
    return row is not None and not row[0]
