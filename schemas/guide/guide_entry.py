"""The guide for one error code, and a procedure that belongs to no single code."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import ErrorCode
from schemas.guide.escalation_matrix import IssueType, issue_type_of
from schemas.guide.guide_step import GuideStep
from schemas.guide.support_levels import RESPONSES, SeverityResponse


@dataclass(frozen=True)
class GuideEntry:
    """The guide for one code; description and severity are those of the code itself.

    Attributes:
        code: The code.
        symptoms: Signs of the error.
        causes: Common causes.
        diagnosis: Steps that find the cause.
        resolution: Steps that remove it.
        automatic: What Transfuse does by itself.
    """

    code: ErrorCode
    symptoms: tuple[str, ...]
    causes: tuple[str, ...]
    diagnosis: tuple[GuideStep, ...]
    resolution: tuple[GuideStep, ...]
    automatic: tuple[str, ...]

    @property
    def response(self) -> SeverityResponse:
        """Impact, response time and escalation of the code's severity."""
        return RESPONSES[self.code.severity]

    @property
    def issue_type(self) -> IssueType:
        """The row of the escalation matrix."""
        return issue_type_of(self.code)

    @property
    def steps(self) -> tuple[GuideStep, ...]:
        """All steps, those of the diagnosis first."""
        return self.diagnosis + self.resolution


@dataclass(frozen=True)
class GuideProcedure:
    """A procedure of the guide, such as the health check: a title and steps."""

    title: str
    steps: tuple[GuideStep, ...]
