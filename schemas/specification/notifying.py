"""The key ``notify``: the channels through which people learn of events."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, model_validator
from pydantic import Field as Attribute

from schemas.errors import Severity
from schemas.notice_events import NoticeEvent
from schemas.specification.model import Part


def _read_severity(value: object) -> object:
    names = {severity.name.lower(): severity for severity in Severity}
    if isinstance(value, str) and value in names:
        return names[value]
    raise ValueError(f"one of {', '.join(names)}")


class Channel(Part):
    """A channel: an Apprise URL or a program.

    Attributes:
        to: An Apprise URL. It is a secret as a whole: tokens are parts of its path.
        command: A program and its arguments; it reads the notice as JSON from stdin.
        severity: The least severity of the notices that are sent.
        events: The events that are sent; None for all.
    """

    to: str | None = Attribute(default=None, repr=False, min_length=1)
    command: tuple[Annotated[str, Attribute(min_length=1)], ...] | None = Attribute(
        default=None, repr=False, min_length=1
    )
    severity: Annotated[Severity, BeforeValidator(_read_severity)] = Severity.HIGH
    events: tuple[NoticeEvent, ...] | None = Attribute(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_way(self) -> Channel:
        if (self.to is None) == (self.command is None):
            raise ValueError("a channel has one of 'to' and 'command'")
        return self
