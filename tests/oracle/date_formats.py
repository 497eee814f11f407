"""Dates in formats as strptime writes them, read character by character.

``%Y`` is four digits; ``%y`` two, of which 69 to 99 are 1969 to 1999; the other numbers take
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
    text: str, formats: Sequence[str], type_name: str
) -> tuple[int | None, str | None]:
    """A date in days or a timestamp in microseconds, or None and the reason.

    A date that comes with a time other than midnight would have to be cut.
    """
    found = {read for one in formats if (read := _read(text, one)) is not None}
    if len(found) != 1:
        return None, "ambiguous" if found else "conversion"
    (moment,) = found
    if type_name != "date":
        return moment, None
    return (moment // DAY, None) if moment % DAY == 0 else (None, "inexact")


def _read(text: str, format_: str) -> int | None:
    """Microseconds since 1970."""
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
        year = short + (1900 if short >= 69 else 2000)
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
