"""The observations of a diagnosis: findings, each with a fix, and facts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeGuard

from schemas.errors import ErrorCode, Problem, Severity


class FindingLevel(str, Enum):
    """How urgent a finding is: it keeps a migration from running, harms it, or slows it down."""

    BLOCKER = "blocker"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True)
class HealthFinding:
    """A condition of a server, of data or of this machine that somebody should change.

    Attributes:
        level: How urgent it is.
        code: The code of the catalogue.
        subject: The object, such as ``target, public.patients``.
        reason: The condition, without any value of a row.
        fix: The statement or command that removes it.
        raised_severity: The severity where it isn't that of the code.
    """

    level: FindingLevel
    code: ErrorCode
    subject: str
    reason: str
    fix: str
    raised_severity: Severity | None = None

    @property
    def severity(self) -> Severity:
        """The severity of the code, unless this finding has one of its own."""
        return self.raised_severity or self.code.severity


@dataclass(frozen=True)
class HealthFact:
    """A measured value or a setting that the diagnosis has looked at."""

    subject: str
    name: str
    value: str | int | float | bool


Observation = HealthFinding | HealthFact


def is_blocker(one: Observation) -> TypeGuard[HealthFinding]:
    """Whether an observation keeps a migration from running."""
    return isinstance(one, HealthFinding) and one.level is FindingLevel.BLOCKER


def finding_of(problem: Problem, level: FindingLevel) -> HealthFinding:
    """A problem that another part of the program reports, as a finding."""
    return HealthFinding(level, problem.code, problem.where, problem.message, problem.remedy)


def warn(code: ErrorCode, subject: str, reason: str, fix: str) -> HealthFinding:
    """A finding that harms a migration."""
    return HealthFinding(FindingLevel.WARNING, code, subject, reason, fix)


def advise(code: ErrorCode, subject: str, reason: str, fix: str) -> HealthFinding:
    """A finding that a migration can live with."""
    return HealthFinding(FindingLevel.ADVICE, code, subject, reason, fix)
