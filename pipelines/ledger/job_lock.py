"""The lock by which one process at a time has a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.ledger.ledger_session import LedgerSession
from transforms.postgres.session_settings import CLIENT_CHECK

_SECONDS_TO_LET_GO = 3
"""The server needs a moment to notice that a killed run is gone."""

_SECONDS_AT_WORK = CLIENT_CHECK + 5
"""And longer where that had a statement at work."""

_HOLDER = (
    " WHERE l.locktype = 'advisory' AND l.granted"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND l.objsubid = 1"
    " AND (l.classid::int8 << 32 | l.objid::int8) = hashtextextended(%(lock)s, 0)"
)

_HELD = f"SELECT EXISTS (SELECT FROM pg_locks l {_HOLDER})"

_HOLDER_AT_WORK = (
    "SELECT bool_or(a.state = 'active') FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    + _HOLDER
)
"""Whether the session that holds a job is executing a statement."""

_TRY = "SELECT pg_try_advisory_xact_lock(hashtextextended(%(lock)s, 0))"


@dataclass(frozen=True)
class JobLock:
    """Locks the session's job, and looks whether a process has it."""

    session: LedgerSession

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the job for this process until the context ends; the lock dies with its connection.

        Raises:
            TransfuseError: USER-003 if another process holds it.
        """
        is_taken = self._take(_SECONDS_TO_LET_GO)
        if not is_taken and self._ask(_HOLDER_AT_WORK):
            is_taken = self._take(_SECONDS_AT_WORK)
        if not is_taken:
            raise TransfuseError(
                Problem(
                    ErrorCode.USER_003,
                    f"the job '{self.session.job}' is running already",
                    remedy="wait for it (see 'status'), or stop it first",
                )
            )
        try:
            yield
        finally:
            # With the connection the lock is gone too.
            with suppress(psycopg.OperationalError):
                self._ask("SELECT pg_advisory_unlock(hashtextextended(%(lock)s, 0))")

    def is_held(self) -> bool:
        """Whether a process holds the job, this one included; takes no lock."""
        return self._ask(_HELD)

    def is_running(self, job: str | None = None) -> bool:
        """Whether another process holds a job.

        Where none does, none gets it before the end of the transaction that surrounds the call.

        Args:
            job: A job of the same control tables; None for the session's.
        """
        with self.session.connection.transaction():
            is_free = self._ask(
                "SELECT pg_try_advisory_xact_lock(hashtextextended(%(lock)s, 0))", job
            )
        return not is_free

    def _take(self, seconds: int) -> bool:
        """Whether the lock could be had in that time."""
        try:
            with self.session.connection.transaction():
                self.session.execute(f"SET LOCAL lock_timeout = '{seconds}s'")
                self._ask("SELECT pg_advisory_lock(hashtextextended(%(lock)s, 0))")
        except psycopg.errors.LockNotAvailable:
            return False
        return True

    def _ask(self, statement: str, job: str | None = None) -> bool:
        name = f"transfuse/{self.session.control_schema or ''}/{job or self.session.job}"
        return self.session.execute(statement, {"lock": name}).fetchone() == (True,)
