"""The contents of maps in ``migration_maps``, which workers read while a run goes on."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.ledger.job_lock import JobLock
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class MapRows:
    """Deletes the maps of the session's job that a run left behind."""

    session: LedgerSession

    def delete_left_over(self) -> None:
        """Delete the contents of maps of a run that was killed: keys may be those of patients.

        Nothing is deleted while another process has the job: its workers need them.
        """
        session = self.session
        name = session.table("migration_maps").as_string()
        row = session.execute("SELECT to_regclass(%(name)s)", {"name": name}).fetchone()
        if row is None or row[0] is None:
            # Control tables of another version, which is reported later.
            return
        # Asked first, because a role that may only read is no reason to fail if nothing is left.
        left = session.execute("SELECT FROM {migration_maps} WHERE job_id = %(job)s LIMIT 1")
        if left.fetchone() is None:
            return
        with session.connection.transaction():
            if not JobLock(session).is_running():
                session.execute("DELETE FROM {migration_maps} WHERE job_id = %(job)s")
