"""How the values of a field are to be read, and what a specification leaves open about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from schemas.column_types import ColumnType, parse_type
from schemas.conversions import ENCODINGS, ConversionProblem, Encoding, OnAmbiguous, Reading
from schemas.conversions.text_readings import DATED, check_formats
from schemas.conversions.zones import zone_names
from schemas.date_formats import DateFormat
from schemas.errors import Problem
from schemas.specification.table import Field

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=timezone.utc)


def reading_of(field: Field, started_at: datetime | None) -> Reading:
    """The reading of a field's values.

    Args:
        field: a field whose problems have been reported.
        started_at: the job's start; only ``century: past`` needs it.
    """
    encoded = is_encoded(field)
    return Reading(
        formats=() if encoded else tuple(field.format),
        encoding=Encoding(field.format[0]) if encoded else None,
        pivot=field.century if isinstance(field.century, int) else None,
        not_after=started_at if field.century == "past" else None,
        zone=field.zone,
        on_ambiguous=field.on_ambiguous or OnAmbiguous.REJECT,
    )


def is_encoded(field: Field) -> bool:
    """Whether ``format`` names an encoding of bytes in place of formats of strptime."""
    return len(field.format) == 1 and field.format[0] in ENCODINGS


def reading_problems(field: Field) -> Iterator[Problem]:
    """What is wrong with ``format``, ``century``, ``zone`` and ``on_ambiguous`` of a field."""
    found = [*_format_problems(field), *_zone_problems(field)]
    yield from found
    if found or is_encoded(field):
        return
    target = _declared_type(field)
    if field.format and target is not None and target.name in DATED:
        reading = reading_of(field, _ANY_MOMENT)
        try:
            check_formats(reading.parse_formats(), target, reading)
        except ConversionProblem as error:
            yield field.problem(str(error), "format", remedy=error.remedy)


def _format_problems(field: Field) -> Iterator[Problem]:
    if is_encoded(field):
        if field.century is not None:
            yield field.problem(
                "'century' is for a format with %y", "century", remedy="remove 'century'"
            )
        return
    for position, pattern in enumerate(field.format):
        wrong = _why_no_format(pattern)
        if wrong is not None:
            remedy = "write it as strptime does: %Y-%m-%d"
            if "%" not in pattern:
                remedy += f"; for bytes as one of {', '.join(ENCODINGS)}"
            yield field.problem(wrong, "format", position, remedy=remedy)
    if field.century is not None and not field.format:
        yield field.problem(
            "'century' is for a format with %y", "century", remedy="remove 'century'"
        )


def _why_no_format(pattern: str) -> str | None:
    try:
        DateFormat.parse(pattern)
    except ValueError as error:
        return str(error)
    return None


def _zone_problems(field: Field) -> Iterator[Problem]:
    if field.zone is not None and field.zone not in zone_names():
        alike = [name for name in zone_names() if name.lower() == field.zone.lower()]
        message = f"'{field.zone}' is not the name of one time zone"
        remedy = "name a place, such as Europe/Berlin, America/New_York or UTC"
        if alike:
            remedy = f"write zone: {alike[0]}"
        yield field.problem(message, "zone", remedy=remedy)
    if field.on_ambiguous is not None:
        target = _declared_type(field)
        if field.zone is None:
            yield field.problem(
                "'on_ambiguous' needs 'zone'", "on_ambiguous", remedy="add 'zone: Europe/Berlin'"
            )
        elif target is not None and target.name in ("date", "timestamp"):
            yield field.problem(
                f"'on_ambiguous' is for a timestamptz: a moment has one local time as {target}",
                "on_ambiguous",
                remedy="remove 'on_ambiguous'",
            )


def _declared_type(field: Field) -> ColumnType | None:
    try:
        return None if field.type is None else parse_type(field.type)
    except ValueError:
        return None
