"""The sessions of a job's runs on the target, and how an emergency stop ends them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg
from psycopg import sql

from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.run_fence import fence_of

_NAME = re.compile(
    r"transfuse (?:migrate|replay|rejects replay|from Python) (?:run \d+ )?"
    r"(?:launcher|reader|writer|watcher|preflight) of (.*)"
)
_LONGEST_NAME = 63

_SESSIONS = """
SELECT a.pid, a.application_name, EXISTS (
    SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.objsubid = 1
        AND l.database = a.datid AND (l.classid::int8 << 32 | l.objid::int8) = ANY(ARRAY[
            hashtextextended(%(lock)s, 0), hashtextextended(%(fence)s, 0)]))
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND a.backend_type = 'client backend'
"""


@dataclass(frozen=True)
class JobSessions:
    """Ends the sessions of the session's job, and waits until nothing is being committed."""

    session: LedgerSession

    def find(self, only_locking: bool = False) -> list[int]:
        """Find the sessions of the job's runs: by their names, and by the locks of the job.

        Args:
            only_locking: Whether to find only those that hold or await a lock of the job.

        Returns:
            The process ids on the server.
        """
        names = self._names()
        rows = self.session.connection.execute(_SESSIONS.encode(), names).fetchall()
        return [
            pid
            for pid, name, is_locking in rows
            if is_locking or (not only_locking and self._is_ours(name))
        ]

    def _is_ours(self, name: str) -> bool:
        # A name that the server has cut off may be that of another job.
        match = _NAME.fullmatch(name)
        return (
            match is not None
            and match[1] == self.session.job
            and len(name.encode()) <= _LONGEST_NAME
        )

    def terminate(self, pid: int) -> bool:
        """End a session; False if the role may not."""
        try:
            self.session.connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def wait_for_commits(self, seconds: float) -> bool:
        """Wait until no transaction of a run is open that can still store rows.

        Args:
            seconds: How long at most.

        Returns:
            Whether there is none any more.
        """
        return self._acquire("fence", seconds)

    def wait_for_launcher(self, seconds: float) -> bool:
        """Wait until no process holds the job; whether that is so."""
        return self._acquire("lock", seconds)

    def _acquire(self, name: str, seconds: float) -> bool:
        """Whether an advisory lock could be had in that time; it is released at once."""
        connection = self.session.connection
        try:
            with connection.transaction():
                connection.execute(
                    sql.SQL("SET LOCAL lock_timeout = {}").format(f"{int(seconds * 1000)}ms")
                )
                statement = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
                connection.execute(statement, [self._names()[name]])
        except psycopg.errors.LockNotAvailable:
            return False
        return True

    def _names(self) -> dict[str, str]:
        schema, job = self.session.control_schema, self.session.job
        return {"lock": f"transfuse/{schema or ''}/{job}", "fence": fence_of(schema, job)}
