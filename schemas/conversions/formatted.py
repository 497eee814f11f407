"""Conversion of dates and times in strptime formats, with the century of two-digit years."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from schemas.blanks import trim_sql
from schemas.column_types import ColumnType
from schemas.conversions.conversion import AMBIGUOUS, CONVERSION, INEXACT, Conversion
from schemas.conversions.moments import on_time, within_precision
from schemas.conversions.text_readings import Reading, check_formats
from schemas.conversions.zones import local_time, moment_of
from schemas.date_formats import DateFormat

_EARLIEST_ZONE = timedelta(hours=14)
"""The largest offset of a local time from UTC (Kiritimati)."""


def by_format(value: str, target: ColumnType, reading: Reading) -> Conversion:
    """Converts text that one of the formats describes, or several with the same result.

    Args:
        value: SQL for the text.
        target: The type: date, time, timestamp or timestamptz.
        reading: The formats, and the decisions about zone and century.

    Raises:
        ConversionProblem: The formats leave open what their text means.
        ValueError: One of them can't be parsed.
    """
    formats = reading.parse_formats()
    check_formats(formats, target, reading)
    text = trim_sql(value)
    results = [_Result.by(text, one, reading) for one in formats]
    local = _first([one.value for one in results if not one.is_moment])
    moment = _first([one.value for one in results if one.is_moment])
    ambiguous = _any([*(one.open for one in results if one.open), *_clashes(results)])
    any_read = " OR ".join(f"({one.value}) IS NOT NULL" for one in results)
    conversion = _as_target(value, local, moment, target, reading)
    longer = " OR ".join(
        f"regexp_full_match({text}, '{grammar}')" for one in formats if (grammar := _longer(one))
    )
    reason = (
        f"CASE WHEN {value} IS NULL THEN NULL"
        + (f" WHEN {ambiguous} THEN '{AMBIGUOUS}'" if ambiguous else "")
        + (f" WHEN NOT ({any_read}) AND ({longer}) THEN '{INEXACT}'" if longer else "")
        + f" WHEN NOT ({any_read}) THEN '{CONVERSION}' ELSE {conversion.reason} END"
    )
    result = conversion.value
    if ambiguous:
        result = f"CASE WHEN NOT {ambiguous} THEN {result} END"
    return Conversion(result, reason)


def _as_target(
    value: str, local: str | None, moment: str | None, target: ColumnType, reading: Reading
) -> Conversion:
    if target.name == "timestamptz":
        if local is None or reading.zone is None:
            return within_precision(value, moment or "NULL::TIMESTAMPTZ", target)
        meant = moment_of(local, reading.zone, reading.on_ambiguous)
        whole = meant.value if moment is None else f"coalesce({moment}, {meant.value})"
        result = within_precision(value, whole, target)
        return Conversion(result.value, f"coalesce({meant.reason}, {result.reason})")
    if moment is not None and reading.zone is not None:
        there = local_time(moment, reading.zone)
        local = there if local is None else f"coalesce({local}, {there})"
    conversion = on_time(value, local or "NULL::TIMESTAMP", target)
    if target.name != "time":
        return conversion
    return Conversion(f"CAST(CAST({conversion.value} AS TIME) AS VARCHAR)", conversion.reason)


class _Result:
    """The result of one format: SQL for the value, and for whether its century is open."""

    def __init__(self, value: str, is_moment: bool, open_: str | None) -> None:
        self.value, self.is_moment, self.open = value, is_moment, open_

    @classmethod
    def by(cls, text: str, one: DateFormat, reading: Reading) -> _Result:
        if not one.has_short_year:
            return cls(_strptime(text, one), one.has_zone, None)
        if reading.pivot is not None:
            return cls(_from_pivot(text, one, reading.pivot), one.has_zone, None)
        assert reading.not_after is not None
        return cls._of_the_past(text, one, reading.not_after, reading.zone)

    @classmethod
    def _of_the_past(
        cls, text: str, one: DateFormat, not_after: datetime, zone: str | None
    ) -> _Result:
        start = f"'{not_after.astimezone(timezone.utc).isoformat(sep=' ')}'::TIMESTAMPTZ"
        utc = not_after.astimezone(timezone.utc).replace(tzinfo=None)
        latest = f"'{utc.isoformat(sep=' ')}'::TIMESTAMP"
        if one.has_zone:
            latest = start
        elif zone is not None:
            latest = local_time(start, zone)
        century = utc.year // 100
        this, last = _strptime(text, one, century), _strptime(text, one, century - 1)
        read = f"CASE WHEN {this} <= {latest} THEN {this} ELSE {last} END"
        if one.has_zone or zone is not None:
            return cls(read, one.has_zone, None)
        # Without a zone it is open whether the next hours have begun.
        tomorrow = f"'{(utc + _EARLIEST_ZONE).isoformat(sep=' ')}'::TIMESTAMP"
        return cls(read, False, f"({this} > {latest} AND {this} <= {tomorrow})")


def _from_pivot(text: str, one: DateFormat, pivot: int) -> str:
    century, first = divmod(pivot, 100)
    before, behind = one.around("y")
    if first == 0:
        return _strptime(text, one, century)
    short = f"try_cast(regexp_extract({text}, '^{before}([0-9]{{2}}){behind}$', 1) AS INTEGER)"
    this, following = _strptime(text, one, century), _strptime(text, one, century + 1)
    return f"CASE WHEN {short} >= {first} THEN {this} ELSE {following} END"


def _strptime(text: str, one: DateFormat, century: int | None = None) -> str:
    """SQL for the timestamp, or timestamptz where the format has a zone; NULL if it doesn't fit."""
    unified, pattern = text, one.pattern.replace("'", "''")
    if "z" in one.directives:
        before, behind = one.around("z")
        unified = f"regexp_replace({unified}, '^({before})[Zz]({behind})$', '\\1+00\\2')"
    if "f" in one.directives:
        # strptime reads six digits and no more.
        before, behind = one.around("f")
        unified = f"regexp_replace({unified}, '^({before}[0-9]{{1,6}})0*({behind})$', '\\1\\2')"
    if century is not None:
        before, _ = one.around("y")
        unified = f"regexp_replace({unified}, '^({before})([0-9]{{2}})', '\\1{century:02d}\\2')"
        pattern = pattern.replace("%y", "%Y")
    kind = "TIMESTAMP WITH TIME ZONE" if one.has_zone else "TIMESTAMP"
    read = f"try_cast(try_strptime({unified}, '{pattern}') AS {kind})"
    if "j" in one.directives:
        # The 366th day of other years would be the first of the next one.
        before, behind = one.around("j")
        day = f"try_cast(regexp_extract({text}, '^{before}([0-9]{{3}}){behind}$', 1) AS INTEGER)"
        read = f"CASE WHEN dayofyear({read}) = {day} THEN {read} END"
    return f"CASE WHEN regexp_full_match({text}, '{one.grammar}') THEN {read} END"


def _longer(one: DateFormat) -> str | None:
    """The regular expression of text with fractions finer than a microsecond."""
    if "f" not in one.directives:
        return None
    before, behind = one.around("f")
    return f"{before}[0-9]+{behind}"


def _first(values: Sequence[str]) -> str | None:
    if not values:
        return None
    return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"


def _clashes(results: Sequence[_Result]) -> list[str]:
    """SQL conditions under which two formats give different values."""
    clashes = []
    for place, one in enumerate(results):
        for other in results[place + 1 :]:
            if one.is_moment == other.is_moment:
                clashes.append(f"({one.value}) <> ({other.value})")
            else:
                clashes.append(f"({one.value}) IS NOT NULL AND ({other.value}) IS NOT NULL")
    return clashes


def _any(conditions: Sequence[str]) -> str:
    if not conditions:
        return ""
    return f"({' OR '.join(f'coalesce({one}, false)' for one in conditions)})"
