"""The alerts of a job in ``migration_alerts``."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.ledger.readable_tables import is_allowed_to_read
from schemas.errors import ErrorCode
from schemas.run_metrics import StoredAlert
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class NewAlert:
    """An alert that begins.

    Attributes:
        metric: The metric that has left its limit.
        code: The error code.
        message: What was measured.
        limit: The limit, in rows per second, seconds or percent.
        measured: What was measured, in the same unit.
    """

    metric: str
    code: ErrorCode
    message: str
    limit: float
    measured: float


@dataclass(frozen=True)
class AlertRows:
    """Reads and writes the alerts of the session's job."""

    session: LedgerSession

    def begin(self, run: int, alert: NewAlert) -> None:
        """Store an alert that begins in a run."""
        self.session.execute(
            "INSERT INTO {migration_alerts} (job_id, run, metric, error_code, severity, message,"
            " threshold, worst, began_at) VALUES (%(job)s, %(run)s, %(metric)s, %(code)s,"
            " %(severity)s, %(message)s, %(limit)s, %(measured)s, clock_timestamp())",
            {
                "run": run,
                "metric": alert.metric,
                "code": alert.code.value,
                "severity": alert.code.severity.label,
                "message": alert.message,
                "limit": alert.limit,
                "measured": alert.measured,
            },
        )

    def worsen(self, metric: str, measured: float) -> None:
        """Store that the metric of the alert that hasn't ended was never further from its limit."""
        self.session.execute(
            "UPDATE {migration_alerts} SET worst = %(measured)s"
            " WHERE job_id = %(job)s AND metric = %(metric)s AND ended_at IS NULL",
            {"metric": metric, "measured": measured},
        )

    def end(self, metric: str) -> None:
        """Store that a metric is within its limit again."""
        self.session.execute(
            "UPDATE {migration_alerts} SET ended_at = clock_timestamp()"
            " WHERE job_id = %(job)s AND metric = %(metric)s AND ended_at IS NULL",
            {"metric": metric},
        )

    def end_earlier(self, run: int) -> None:
        """Store the end of alerts that earlier runs left by being killed."""
        self.session.execute(
            "UPDATE {migration_alerts} SET ended_at = clock_timestamp()"
            " WHERE job_id = %(job)s AND run < %(run)s AND ended_at IS NULL",
            {"run": run},
        )

    def read_current(self) -> list[StoredAlert]:
        """Read the alerts that haven't ended, in the order in which they began.

        Returns:
            The alerts; an empty list also where the role may not read them.
        """
        if not is_allowed_to_read(self.session, "migration_alerts"):
            return []
        rows = self.session.execute(
            "SELECT metric, error_code, message, began_at, ended_at FROM {migration_alerts}"
            " WHERE job_id = %(job)s AND ended_at IS NULL ORDER BY began_at, id"
        ).fetchall()
        return [StoredAlert(*row) for row in rows]
