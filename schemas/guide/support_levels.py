"""The guide's four severities and four levels of support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from types import MappingProxyType

from schemas.errors import Severity


class SupportLevel(IntEnum):
    """A level of support, from self-service to the vendor."""

    LEVEL_1 = 1
    LEVEL_2 = 2
    LEVEL_3 = 3
    LEVEL_4 = 4

    @property
    def label(self) -> str:
        return f"Level {self.value}"

    @property
    def purpose(self) -> str:
        """Who works on this level."""
        return _PURPOSES[self]


_PURPOSES = {
    SupportLevel.LEVEL_1: "User self-service and basic troubleshooting",
    SupportLevel.LEVEL_2: "Technical support and system administration",
    SupportLevel.LEVEL_3: "Development team and advanced diagnostics",
    SupportLevel.LEVEL_4: "Vendor support and emergency escalation",
}


@dataclass(frozen=True)
class SeverityResponse:
    """The response to errors of one severity.

    Attributes:
        impact: The effect of such an error on the system.
        response_time: The time within which somebody must respond.
        escalation: The target of the escalation.
        support_level: The level of support that is responsible first.
    """

    impact: str
    response_time: timedelta
    escalation: str
    support_level: SupportLevel


RESPONSES: Mapping[Severity, SeverityResponse] = MappingProxyType(
    {
        Severity.CRITICAL: SeverityResponse(
            "System down, data corruption, security breach",
            timedelta(minutes=15),
            "Automatic to Level 3",
            SupportLevel.LEVEL_3,
        ),
        Severity.HIGH: SeverityResponse(
            "Major functionality impaired, significant performance degradation",
            timedelta(hours=1),
            "Level 2 support",
            SupportLevel.LEVEL_2,
        ),
        Severity.MEDIUM: SeverityResponse(
            "Minor functionality affected, workaround available",
            timedelta(hours=4),
            "Level 1 support",
            SupportLevel.LEVEL_1,
        ),
        Severity.LOW: SeverityResponse(
            "Cosmetic issues, enhancement requests",
            timedelta(hours=24),
            "Standard support queue",
            SupportLevel.LEVEL_1,
        ),
    }
)
"""Impact, response time and escalation of each severity, as in the guide."""


def time_in_words(time: timedelta) -> str:
    """A response time as text: ``15 minutes``, ``1 hour``, ``4 hours``."""
    minutes = int(time.total_seconds()) // 60
    count, unit = (minutes, "minute") if minutes % 60 else (minutes // 60, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"
