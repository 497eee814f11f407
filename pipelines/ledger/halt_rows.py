"""Emergency stops in ``migration_halts``: of the whole job, or of single loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.ledger.audit_rows import AuditRows
from pipelines.ledger.readable_tables import is_allowed_to_read
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class StoredHalt:
    """An emergency stop that is in force.

    Attributes:
        load: The load; empty for the whole job.
        reason: Why it was stopped.
        halted_at: When.
        person: Who did it.
        role: The database role of that person.
    """

    load: str
    reason: str
    halted_at: datetime
    person: str
    role: str


@dataclass(frozen=True)
class HaltRows:
    """Reads and writes the emergency stops of the session's job."""

    session: LedgerSession

    def read(self) -> list[StoredHalt]:
        """Read the emergency stops that are in force, that of the job first.

        Returns:
            The stops; an empty list also where there are no control tables.
        """
        if not is_allowed_to_read(self.session, "migration_halts"):
            return []
        rows = self.session.execute(
            "SELECT load, reason, halted_at, person, role FROM {migration_halts}"
            " WHERE job_id = %(job)s ORDER BY load"
        ).fetchall()
        return [StoredHalt(*row) for row in rows]

    def halt_job(self, reason: str, person: str) -> None:
        """Stop the job: in one transaction, forbid new runs and fence off the workers of this one.

        Raises:
            psycopg.Error: A session holds the job's row (LockNotAvailable), or the server refuses.
        """
        with self.session.connection.transaction():
            self.session.execute("SET LOCAL lock_timeout = '3s'")
            self._insert("", reason, person)
            self.session.execute(
                "UPDATE {migration_jobs} SET runs = runs + 1, wanted = 'stop',"
                " state = CASE WHEN state = 'complete' THEN state ELSE 'stopped' END,"
                " updated_at = now() WHERE job_id = %(job)s"
            )

    def isolate(self, loads: Sequence[str], reason: str, person: str) -> None:
        """Forbid writing to loads; workers look there before each commit."""
        with self.session.connection.transaction():
            for load in loads:
                self._insert(load, reason, person)

    def lift(self, load: str) -> bool:
        """Lift the emergency stop of a load, or of the job (empty); False if there is none."""
        with self.session.connection.transaction():
            deleted = self.session.execute(
                "DELETE FROM {migration_halts} WHERE job_id = %(job)s AND load = %(load)s",
                {"load": load},
            )
            if deleted.rowcount:
                AuditRows(self.session).record("lift emergency stop", load)
        return deleted.rowcount == 1

    def _insert(self, load: str, reason: str, person: str) -> None:
        AuditRows(self.session).record("emergency stop", load, reason=reason)
        self.session.execute(
            "INSERT INTO {migration_halts} (job_id, load, reason, person)"
            " VALUES (%(job)s, %(load)s, %(reason)s, %(person)s)"
            " ON CONFLICT (job_id, load) DO NOTHING",
            {"load": load, "reason": reason, "person": person},
        )
