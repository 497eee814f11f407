"""Dates in formats as strptime writes them, read character by character.

``%Y`` is four digits; ``%y`` two, whose century is given; the other numbers take
two digits, or one where what follows isn't a number. Text that several formats read
differently is ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.oracle.calendar import DAY, days_of

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_PATTERNS = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%b": r"(?P<b>[A-Za-z]{3})",
    "%m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{1,2})",
    "%H": r"(?P<H>\d{1,2})",
    "%M": r"(?P<M>\d{1,2})",
    "%S": r"(?P<S>\d{1,2})",
}


def read_formatted(
    text: str, formats: Sequence[str], type_name: str, century: str | None
) -> tuple[int | None, str | None]:
    """A date in days or a timestamp in microseconds, or None and the reason.

    A date that comes with a time other than midnight would have to be cut.
    """
    found = {read for one in formats if (read := _read(text, one, century)) is not None}
    if len(found) != 1 or OPEN in found:
        return None, "ambiguous" if found else "conversion"
    (moment,) = found
    if type_name != "date":
        return moment, None
    return (moment // DAY, None) if moment % DAY == 0 else (None, "inexact")


def _read(text: str, format_: str, century: str | None) -> int | None:
    """Microseconds since 1970.

    ``century`` is the first of the hundred years that ``%y`` means, or the last moment that it
    may mean, in microseconds after ``past:``; what lies less than 14 hours behind it is open.
    """
    if "%y" not in format_:
        return _in_format(text, format_, 0)
    assert century is not None
    kind, _, latest = century.partition(":")
    if kind != "past":
        pivot = int(century)
        for first in (pivot // 100 * 100, pivot // 100 * 100 + 100):
            short = re.search(r"\d{2}$", text.split()[0])
            if short and pivot <= first + int(short[0]) < pivot + 100:
                return _in_format(text, format_, first)
        return None
    this = _in_format(text, format_, 2000)
    if this is not None and this <= int(latest):
        return this
    if this is not None and this <= int(latest) + 14 * 3_600_000_000:
        return OPEN
    return _in_format(text, format_, 1900)


OPEN = -(2**70)
"""No moment: the century is open."""


def _in_format(text: str, format_: str, century: int) -> int | None:
    pattern = ""
    parts = re.findall(r"%.|[^%]", format_)
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        one = _PATTERNS.get(part, re.escape(part))
        pattern += one.replace("{1,2}", "{2}") if after in _PATTERNS and after != "%b" else one
    match = re.fullmatch(pattern, text, re.ASCII)
    if not match:
        return None
    given = match.groupdict()
    if "y" in given:
        short = int(given["y"])
        year = century + short
    else:
        year = int(given["Y"])
    month = int(given.get("m", 0))
    if "b" in given:
        if given["b"].lower() not in _MONTHS:
            return None
        month = _MONTHS.index(given["b"].lower()) + 1
    days = days_of(year, month, int(given.get("d", 1)))
    hour, minute, second = (int(given.get(part) or 0) for part in "HMS")
    if days is None or year == 0 or hour > 23 or minute > 59 or second > 59:
        return None
    return days * DAY + (hour * 3600 + minute * 60 + second) * 1_000_000
