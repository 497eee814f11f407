"""Decisions of a specification about values that can be read in several ways."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from schemas.column_types import ColumnType
from schemas.conversions.conversion import ConversionProblem
from schemas.date_formats import DateFormat

DATED = ("date", "timestamp", "timestamptz", "time")
"""The types whose text a ``format`` of strptime can describe."""


class OnAmbiguous(str, Enum):
    """The policy for a local time that occurs twice or never, because clocks are changed."""

    REJECT = "reject"
    EARLIER = "earlier"
    LATER = "later"


class Encoding(str, Enum):
    """The encoding between bytes and text."""

    HEX = "hex"
    BASE64 = "base64"
    ESCAPE = "escape"
    UTF_8 = "utf-8"


ENCODINGS = tuple(one.value for one in Encoding)


@dataclass(frozen=True)
class Reading:
    """How text becomes a value where its type alone leaves that open.

    Attributes:
        formats: The strptime formats of a date or time.
        encoding: The encoding of bytes; with one there are no formats.
        pivot: The first of the hundred years that two digits may mean.
        not_after: The moment after which no date lies. It decides the century instead of
            ``pivot``.
        zone: The time zone of local times.
        on_ambiguous: The policy for a local time that occurs twice or never.
    """

    formats: tuple[str, ...] = ()
    encoding: Encoding | None = None
    pivot: int | None = None
    not_after: datetime | None = None
    zone: str | None = None
    on_ambiguous: OnAmbiguous = OnAmbiguous.REJECT

    def parse_formats(self) -> list[DateFormat]:
        """Parses the formats. Raises ValueError."""
        return [DateFormat.parse(pattern) for pattern in self.formats]

    @property
    def decides_century(self) -> bool:
        """Whether years of two digits have a century."""
        return self.pivot is not None or self.not_after is not None


AS_WRITTEN = Reading()
"""The specification decides nothing: only the type's own form is read."""


def check_formats(formats: list[DateFormat], target: ColumnType, reading: Reading) -> None:
    """Refuses formats whose text would have to be completed, cut or guessed.

    Args:
        formats: The formats of a field.
        target: The type of its values.
        reading: The other decisions about them.

    Raises:
        ConversionProblem: A format leaves something open, or has more than the type.
    """
    if target.name not in DATED:
        raise ConversionProblem(f"'format' is for dates and times, not for {target}")
    for one in formats:
        missing = one.lack(target)
        if missing is not None:
            raise ConversionProblem(
                f"the format '{one.pattern}' lacks {missing}, which {target} needs",
                "add it to the format, or migrate the text as text",
            )
        if target.name == "time" and one.has_any("YymbBdjz"):
            raise ConversionProblem(
                f"the format '{one.pattern}' reads more than a time, which would be dropped",
                "write type: timestamp, or take the time with 'sql'",
            )
        if one.has_short_year and not reading.decides_century:
            raise ConversionProblem(
                f"the format '{one.pattern}' has %y, which doesn't say the century",
                "add 'century: past' (no date lies after the job's start), or the first of the"
                " hundred years that are meant, such as 'century: 1930'",
            )
    if reading.decides_century and not any(one.has_short_year for one in formats):
        raise ConversionProblem("'century' is for a format with %y", "remove 'century'")
    _check_zone(formats, target, reading)


def _check_zone(formats: list[DateFormat], target: ColumnType, reading: Reading) -> None:
    if target.name == "timestamptz":
        if reading.zone is None and not all(one.has_zone for one in formats):
            raise ConversionProblem(
                "a timestamptz needs a format with a zone (%z), or 'zone'",
                "add 'zone: Europe/Berlin', the zone of these local times",
            )
        return
    zoned = [one for one in formats if one.has_zone]
    if zoned and reading.zone is None:
        raise ConversionProblem(
            f"the format '{zoned[0].pattern}' has %z, and {target} has no zone",
            "write type: timestamptz; or add 'zone: Europe/Berlin', in whose local time the"
            " value is to be written",
        )
    past = reading.not_after is not None and target.name != "time"
    if reading.zone is not None and len(zoned) < len(formats) and not past:
        raise ConversionProblem(
            f"'zone' decides nothing: the format has no %z, and {target} no zone",
            "remove 'zone', or write type: timestamptz",
        )
