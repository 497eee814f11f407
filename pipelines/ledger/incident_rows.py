"""The incidents of a job in ``migration_incidents``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from pipelines.audit.actor import current_actor
from pipelines.ledger.readable_tables import is_allowed_to_read
from schemas.errors import ErrorCode, Severity
from schemas.guide.incident import Incident, IncidentTrigger
from transforms.ledger.ledger_session import LedgerSession

_COLUMNS = (
    "id, trigger, subject, error_code, severity, level, status, summary, impact, timeline,"
    " opened_at, respond_by, acknowledged_at, closed_at, resolution"
)

_EVENT = (
    "timeline = timeline || jsonb_build_array(jsonb_build_object('at',"
    " to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'),"
    " 'event', %(event)s::text, 'person', %(person)s::text))"
)


@dataclass(frozen=True)
class NewIncident:
    """An incident that may have to be opened, for a job's trigger and subject."""

    trigger: IncidentTrigger
    subject: str
    code: ErrorCode | None
    severity: Severity
    level: int
    summary: str
    impact: Mapping[str, int]
    respond_within: timedelta


@dataclass(frozen=True)
class IncidentRows:
    """Reads and writes the incidents of the session's job."""

    session: LedgerSession

    @property
    def can_be_read(self) -> bool:
        """Whether there are control tables with incidents that the role may read."""
        return is_allowed_to_read(self.session, "migration_incidents")

    def open(self, new: NewIncident) -> tuple[str, bool]:
        """Open an incident, or add the event to the open one of its trigger and subject.

        Returns:
            The id, and whether it is a new one.
        """
        values = {"trigger": new.trigger.value, "subject": new.subject}
        with self.session.connection.transaction():
            # Numbers are those of all jobs of the control tables.
            self.session.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%(lock)s, 0))",
                {"lock": f"transfuse incidents/{self.session.control_schema or ''}"},
            )
            row = self.session.execute(
                "SELECT id FROM {migration_incidents} WHERE job_id = %(job)s"
                " AND trigger = %(trigger)s AND subject = %(subject)s AND status <> 'closed'",
                values,
            ).fetchone()
            if row is not None:
                self.add_event(row[0], f"happened again: {new.summary}")
                return str(row[0]), False
            row = self.session.execute(
                "INSERT INTO {migration_incidents} (id, job_id, trigger, subject, error_code,"
                " severity, level, summary, impact, opened_at, respond_by)"
                " SELECT 'INC-' || day || '-' || lpad((1 + coalesce(max("
                "   substring(i.id FROM 14)::int), 0))::text, 4, '0'), %(job)s, %(trigger)s,"
                "  %(subject)s, %(code)s, %(severity)s, %(level)s, %(summary)s, %(impact)s,"
                "  clock_timestamp(), clock_timestamp() + %(within)s"
                " FROM to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD') AS day"
                " LEFT JOIN {migration_incidents} i ON i.id LIKE 'INC-' || day || '-%%'"
                " GROUP BY day RETURNING id",
                {
                    **values,
                    "code": None if new.code is None else new.code.value,
                    "severity": new.severity.label,
                    "level": new.level,
                    "summary": new.summary,
                    "impact": Jsonb(dict(new.impact)),
                    "within": new.respond_within,
                },
            ).fetchone()
            assert row is not None
            self.add_event(row[0], f"opened: {new.summary}")
        return str(row[0]), True

    def read(self, incident: str) -> Incident | None:
        """Read an incident of the job; None if there is none of this id."""
        rows = self._read("id = %(id)s", {"id": incident})
        return rows[0] if rows else None

    def read_all(self) -> list[Incident]:
        """Read all incidents of the job, the latest first."""
        return self._read("true", {})

    def read_overdue(self) -> list[Incident]:
        """Read the open incidents that nobody has acknowledged in time, below the last level."""
        return self._read("status = 'open' AND respond_by < clock_timestamp() AND level < 4", {})

    def read_down_seconds(self) -> float | None:
        """Read for how long a job that isn't complete has done nothing; None before its run."""
        row = self.session.execute(
            "SELECT extract(epoch FROM clock_timestamp() - greatest(j.updated_at,"
            " (SELECT max(p.finished_at) FROM {migration_partitions} p"
            "  WHERE p.job_id = j.job_id)))::float8 FROM {migration_jobs} j"
            " WHERE j.job_id = %(job)s AND j.state IN ('running', 'incomplete')"
        ).fetchone()
        return None if row is None else float(row[0])

    def add_event(self, incident: str, event: str) -> None:
        """Add an event to the timeline of an incident."""
        self._change(incident, event, "")

    def acknowledge(self, incident: str) -> None:
        """Store that somebody deals with an incident: it isn't escalated by time any more."""
        assignments = (
            ", status = 'acknowledged', acknowledged_at = clock_timestamp(),"
            " acknowledged_by = %(person)s"
        )
        self._change(incident, "acknowledged", assignments)

    def escalate(self, incident: Incident, reason: str, respond_within: timedelta) -> bool:
        """Raise an incident to the next level, whose time to respond begins now.

        Args:
            incident: The incident as it was read.
            reason: Why it is escalated.
            respond_within: How long the next level has.

        Returns:
            False if somebody has escalated, acknowledged or closed it since it was read.
        """
        assignments = (
            ", status = 'open', level = level + 1, respond_by = clock_timestamp() + %(within)s"
        )
        return self._change(
            incident.id,
            f"escalated: {reason}",
            assignments,
            " AND level = %(level)s AND status = %(status)s",
            within=respond_within,
            level=incident.level,
            status=incident.status,
        )

    def close(self, incident: str, resolution: str) -> None:
        """Close an incident."""
        assignments = (
            ", status = 'closed', closed_at = clock_timestamp(), closed_by = %(person)s,"
            " resolution = %(resolution)s"
        )
        self._change(incident, "closed", assignments, resolution=resolution)

    def _change(
        self, incident: str, event: str, assignments: str, condition: str = "", **values: Any
    ) -> bool:
        """Change an incident, and add to its timeline; whether it met the condition."""
        person = current_actor().person
        changed = self.session.execute(
            f"UPDATE {{migration_incidents}} SET {_EVENT}{assignments}"
            f" WHERE id = %(id)s AND job_id = %(job)s{condition}",
            {"id": incident, "event": event, "person": person, **values},
        )
        return changed.rowcount > 0

    def _read(self, condition: str, values: Mapping[str, Any]) -> list[Incident]:
        rows = self.session.execute(
            f"SELECT {_COLUMNS} FROM {{migration_incidents}} WHERE job_id = %(job)s"
            f" AND {condition} ORDER BY opened_at DESC, id DESC",
            values,
        ).fetchall()
        return [_incident(*row) for row in rows]


def _incident(*row: Any) -> Incident:
    number, trigger, subject, code, severity, level, status, summary, impact, timeline, *rest = row
    return Incident(
        number,
        IncidentTrigger(trigger),
        subject,
        None if code is None else ErrorCode(code),
        Severity[severity.upper()],
        level,
        status,
        summary,
        impact,
        tuple(timeline),
        *rest,
    )
