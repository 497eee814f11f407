"""Deletes a job, or some of its loads, from the control tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from schemas.control_tables import control_metadata
from schemas.operation_tables import RECORDS
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class JobRemoval:
    """Deletes what the control tables have of the session's job, in the caller's transaction."""

    session: LedgerSession

    def delete_job(self) -> None:
        """Delete the job from the control tables.

        The site's decisions on codes stay, and so do the records of who did what.
        """
        for table in control_metadata(self.session.control_schema).sorted_tables:
            if "job_id" in table.columns and table.name not in RECORDS:
                self.session.execute(f"DELETE FROM {{{table.name}}} WHERE job_id = %(job)s")

    def delete_loads(self, loads: Collection[str]) -> None:
        """Delete some loads, and store that the job is incomplete.

        Args:
            loads: The loads. All loads that made placeholders in their tables must be among them.
        """
        values = {"loads": list(loads)}
        self.session.execute(
            "DELETE FROM {migration_placeholders} WHERE job_id = %(job)s AND target_table IN"
            " (SELECT target_table FROM {migration_loads} WHERE job_id = %(job)s"
            "  AND load = ANY(%(loads)s))",
            values,
        )
        for table in control_metadata(self.session.control_schema).sorted_tables:
            if "load" in table.columns and table.name not in RECORDS:
                self.session.execute(
                    f"DELETE FROM {{{table.name}}}"
                    " WHERE job_id = %(job)s AND load = ANY(%(loads)s)",
                    values,
                )
        self.session.execute(
            "UPDATE {migration_jobs} SET state = 'incomplete', finished_at = NULL,"
            " updated_at = now() WHERE job_id = %(job)s"
        )
