"""A notice: what happened, for the people who are responsible."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import Severity, hide_credentials
from schemas.notice_events import NoticeEvent


@dataclass(frozen=True)
class Notice:
    """A message about an event, without values of rows and without secrets.

    Attributes:
        event: The event.
        severity: How urgent it is; a channel has a least severity.
        title: One line.
        lines: The text below it.
    """

    event: NoticeEvent
    severity: Severity
    title: str
    lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", hide_credentials(self.title))
        object.__setattr__(self, "lines", tuple(map(hide_credentials, self.lines)))
