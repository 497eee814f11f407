"""Loads that an upgrade of the control tables carried over, and what it left to be decided."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class CarriedRows:
    """Reads and writes what an upgrade left about the loads of the session's job."""

    session: LedgerSession

    def read_refused(self, verb: str) -> dict[str, str]:
        """Read why loads can't go on with a verb, by load; complete ones only of a replay."""
        return dict(
            self.session.execute(
                "SELECT load, reason FROM {migration_refused_loads} WHERE job_id = %(job)s"
                " AND verb = %(verb)s ORDER BY load",
                {"verb": verb},
            ).fetchall()
        )

    def read_with_findings(self) -> frozenset[str]:
        """Read the loads that have findings of an earlier version to be confirmed."""
        rows = self.session.execute(
            "SELECT DISTINCT load FROM {migration_earlier_findings} WHERE job_id = %(job)s"
        ).fetchall()
        return frozenset(load for (load,) in rows)

    def mark_compared(self, loads: Collection[str]) -> None:
        """Mark begun loads as compared whose rows need no comparison, unless they have findings."""
        self.session.execute(
            "UPDATE {migration_loads} l SET compared = true WHERE job_id = %(job)s"
            " AND NOT compared AND load = ANY(%(loads)s) AND NOT EXISTS"
            " (SELECT FROM {migration_earlier_findings} f"
            "  WHERE f.job_id = l.job_id AND f.load = l.load)",
            {"loads": list(loads)},
        )
