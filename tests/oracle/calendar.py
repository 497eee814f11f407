"""Days and microseconds since 1970-01-01 in the proleptic Gregorian calendar, any year.

Python's own dates end at the years 1 and 9999; PostgreSQL's don't. Years are astronomical:
0 is 1 BC, -1 is 2 BC.
"""

from __future__ import annotations

import re

DAY = 86_400_000_000
"""Microseconds."""

FINER = "finer"
"""What a time has become whose digits a microsecond can't hold."""

EARLIEST = -2440588
"""The first day that PostgreSQL has, 24 November 4714 BC."""

DATE_INFINITY = 2**31 - 1
TIMESTAMP_INFINITY = 2**63 - 1

_LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_length(year: int, month: int) -> int:
    return 29 if month == 2 and is_leap(year) else _LENGTHS[month - 1]


def days_of(year: int, month: int, day: int) -> int | None:
    """Days since 1970-01-01; None for a day that the calendar doesn't have."""
    if not 1 <= month <= 12 or not 1 <= day <= month_length(year, month):
        return None
    before = year - 1
    days = 365 * before + before // 4 - before // 100 + before // 400
    days += sum(month_length(year, m) for m in range(1, month)) + day - 1
    return days - 719162


def date_of(days: int) -> tuple[int, int, int]:
    """Year, month and day."""
    cycles, rest = divmod(days + 719162, 146097)
    year, month = 1 + 400 * cycles, 1
    while rest >= 365 + is_leap(year):
        rest -= 365 + is_leap(year)
        year += 1
    while rest >= month_length(year, month):
        rest -= month_length(year, month)
        month += 1
    return year, month, rest + 1


def date_text(days: int) -> str:
    """A date as PostgreSQL writes it under DateStyle ISO."""
    if abs(days) == DATE_INFINITY:
        return "infinity" if days > 0 else "-infinity"
    year, month, day = date_of(days)
    if year > 0:
        return f"{year:04}-{month:02}-{day:02}"
    return f"{1 - year:04}-{month:02}-{day:02} BC"


def timestamp_text(microseconds: int, zone: str = "") -> str:
    """A timestamp as PostgreSQL writes it under DateStyle ISO; ``zone`` is ``+00`` or empty."""
    if abs(microseconds) == TIMESTAMP_INFINITY:
        return "infinity" if microseconds > 0 else "-infinity"
    days, rest = divmod(microseconds, DAY)
    seconds, fraction = divmod(rest, 1_000_000)
    time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if fraction:
        time += f".{fraction:06}".rstrip("0")
    date, _, era = date_text(days).partition(" ")
    return f"{date} {time}{zone}" + (f" {era}" if era else "")


_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d+))?)?", re.ASCII)
_ZONE = re.compile(r" ?(?:[Zz]|([+-])(\d{2}):?(\d{2})?(?::(\d{2}))?)", re.ASCII)


_ENDLESS = {"infinity": 1, "+infinity": 1, "-infinity": -1}


def read_date(text: str) -> int | None:
    """``YYYY-MM-DD``, perhaps with ``BC``, or infinity; None for anything else.

    There is no year 0, and nothing before 24 November 4714 BC.
    """
    if text.lower() in _ENDLESS:
        return _ENDLESS[text.lower()] * DATE_INFINITY
    match = _DATE.fullmatch(text.removesuffix(" BC"))
    if not match or match[1] == "0000":
        return None
    year, month, day = map(int, match.groups())
    days = days_of(1 - year if text.endswith(" BC") else year, month, day)
    return None if days is None or days < EARLIEST else days


def read_timestamp(text: str, zone: bool) -> int | str | None:
    """A timestamp in ISO 8601, in microseconds; None for anything else.

    FINER for one that is more exact. With ``zone`` a time and an offset are necessary. Without it
    there is no offset, and a day alone is its midnight.
    """
    if text.lower() in _ENDLESS:
        return _ENDLESS[text.lower()] * TIMESTAMP_INFINITY
    era = " BC" if text.endswith(" BC") else ""
    text = text.removesuffix(" BC")
    days = read_date(text[:10] + era)
    if days is None or text[10:11] not in ("", " ", "T"):
        return None
    clock = text[11:]
    if text[10:] == "" and not zone:
        return days * DAY
    time = _TIME.match(clock)
    if not time:
        return None
    rest = clock[time.end() :]
    offset = 0
    if zone:
        found = _ZONE.fullmatch(rest)
        if not found:
            return None
        if found[1]:
            seconds = (int(found[2]) * 60 + int(found[3] or 0)) * 60 + int(found[4] or 0)
            offset = -seconds if found[1] == "-" else seconds
    elif rest:
        return None
    seconds = (int(time[1]) * 60 + int(time[2])) * 60 + int(time[3] or 0) - offset
    if (time[4] or "")[6:].strip("0"):
        return FINER
    microseconds = int((time[4] or "").ljust(6, "0")[:6])
    moment = days * DAY + seconds * 1_000_000 + microseconds
    return None if moment < EARLIEST * DAY else moment
