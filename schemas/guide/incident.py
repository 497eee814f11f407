"""Incidents: the events that open them, and their stored form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from schemas.errors import ErrorCode, Severity
from schemas.guide.escalation_matrix import IssueType, issue_type_of


class IncidentTrigger(str, Enum):
    """An event that opens an incident by itself."""

    CRITICAL_ERROR = "critical_error"
    DOWNTIME = "downtime"
    CORRUPTION = "corruption"
    EMERGENCY_STOP = "emergency_stop"


_ISSUES = {
    IncidentTrigger.DOWNTIME: IssueType.PERFORMANCE,
    IncidentTrigger.CORRUPTION: IssueType.DATA_QUALITY,
    IncidentTrigger.EMERGENCY_STOP: IssueType.DATA_QUALITY,
}


@dataclass(frozen=True)
class Incident:
    """An incident as the control tables have it; times have a zone.

    Attributes:
        impact: Numbers of tables and rows at the moment when it was opened.
        timeline: Objects with ``at``, ``event`` and ``person``.
    """

    id: str
    trigger: IncidentTrigger
    subject: str
    code: ErrorCode | None
    severity: Severity
    level: int
    status: str
    summary: str
    impact: Mapping[str, int]
    timeline: tuple[Mapping[str, Any], ...]
    opened_at: datetime
    respond_by: datetime
    acknowledged_at: datetime | None
    closed_at: datetime | None
    resolution: str | None

    @property
    def issue(self) -> IssueType:
        """The row of the escalation matrix."""
        if self.trigger in _ISSUES:
            return _ISSUES[self.trigger]
        return IssueType.PERFORMANCE if self.code is None else issue_type_of(self.code)
