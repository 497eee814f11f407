"""The row of a job in ``migration_jobs``: its state, its runs, and what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transforms.ledger.ledger_session import LedgerSession

Wanted = Literal["run", "pause", "stop"]


@dataclass(frozen=True)
class JobRow:
    """Reads and writes the row of the session's job."""

    session: LedgerSession

    def read_wanted(self) -> Wanted:
        """Read what people want of a job that has run."""
        row = self.session.execute(
            "SELECT wanted FROM {migration_jobs} WHERE job_id = %(job)s"
        ).fetchone()
        assert row is not None
        wanted: Wanted = row[0]
        return wanted

    def set_wanted(self, wanted: Wanted) -> None:
        """Store what is wanted of the job; workers look there before each partition."""
        self.session.execute(
            "UPDATE {migration_jobs} SET wanted = %(wanted)s WHERE job_id = %(job)s",
            {"wanted": wanted},
        )

    def close_run(self, state: str, seconds: float) -> None:
        """Close a run.

        Args:
            state: That in which the run leaves the job.
            seconds: How long the run took.
        """
        self.session.execute(
            "UPDATE {migration_jobs} SET state = %(state)s, seconds = seconds + %(seconds)s,"
            " updated_at = now(), finished_at = now() WHERE job_id = %(job)s",
            {"state": state, "seconds": seconds},
        )
