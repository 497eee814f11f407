"""The SQL expressions that generated specifications use, each beside what it means.

A template names its columns ``{0}``, ``{1}``; the function gets their values in that order.
An expression over NULL is NULL unless its function says otherwise (``null_aware``). What
raises in SQL raises Raised here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.oracle.calendar import DATE_INFINITY
from tests.oracle.values import Type


class Raised(Exception):
    """The expression can't be evaluated on this row."""


@dataclass(frozen=True)
class Template:
    """``reads`` are kinds of columns: text, numeral (text: an integer or no number at all),
    integer (int8), date, boolean."""

    sql: str
    reads: tuple[str, ...]
    gives: Type
    function: Callable[..., Any]
    null_aware: bool = False


@dataclass(frozen=True)
class Expression:
    """A template on columns; a name is ``src.x``, ``out.x`` or bare, as it stands in the SQL."""

    template: Template
    names: tuple[str, ...]

    @property
    def sql(self) -> str:
        return self.template.sql.format(*self.names)

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The value under the values of its names; raises Raised."""
        arguments = [values[name] for name in self.names]
        if not self.template.null_aware and any(a is None for a in arguments):
            return None
        return self.template.function(*arguments)


TEXT, BIGINT, BOOL, DATE = Type("text"), Type("int8"), Type("bool"), Type("date")


def trim(text: str) -> str:
    """Takes blanks (Unicode's space separators) from both ends; a tab is none."""
    start, end = 0, len(text)
    while start < end and unicodedata.category(text[start]) == "Zs":
        start += 1
    while end > start and unicodedata.category(text[end - 1]) == "Zs":
        end -= 1
    return text[start:end]


def upper(text: str) -> str:
    """Each character by itself: no character becomes two."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in text)


def lower(text: str) -> str:
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _strip_leading_zeros(text: str) -> str:
    return text.lstrip("0") or text[:1]


def _collapse_blanks(text: str) -> str:
    return trim(re.sub(r"[\t\n\f\r ]+", " ", text))


def _refuse(text: str) -> str:
    if text == "BOOM":
        raise Raised
    return text


def _turned(text: str) -> str:
    return _refuse(text)[::-1]


TRANSFORMATIONS: dict[str, Callable[[str], str]] = {
    "direct": lambda text: text,
    "trim": trim,
    "upper": upper,
    "lower": lower,
    "trim_uppercase": lambda text: upper(trim(text)),
    "trim_lowercase": lambda text: lower(trim(text)),
    "collapse_blanks": _collapse_blanks,
    "digits": lambda text: "".join(c for c in text if c in "0123456789"),
    "strip_leading_zeros": _strip_leading_zeros,
    "tests.oracle.site_functions:backwards": _turned,
    "tests.oracle.site_functions:number_of_characters": lambda text: str(len(text)),
}


def _bigint(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise Raised
    return value


def _parsed(text: str) -> int:
    """CAST to BIGINT of what looks like a plain number, and nothing else in the generated data."""
    if not re.fullmatch(r" *-?\d{1,18} *", text, re.ASCII):
        raise Raised
    return int(text)


def _quotient(one: int, other: int) -> int | None:
    if other == 0:
        return None
    quotient = abs(one) // abs(other)
    return _bigint(quotient if (one < 0) == (other < 0) else -quotient)


def _later(days: int) -> int:
    return days if abs(days) == DATE_INFINITY else days + 30


VALUES = [
    Template("upper({0})", ("text",), TEXT, upper),
    Template("trim({0}) || '-' || {1}", ("text", "text"), TEXT, lambda a, b: f"{trim(a)}-{b}"),
    Template(
        "coalesce({0}, {1}, 'none')",
        ("text", "text"),
        TEXT,
        lambda a, b: a if a is not None else b if b is not None else "none",
        null_aware=True,
    ),
    Template("left({0}, 3)", ("text",), TEXT, lambda a: a[:3]),
    Template("nullif({0}, '')", ("text",), TEXT, lambda a: a or None),
    Template("replace({0}, 'a', '')", ("text",), TEXT, lambda a: a.replace("a", "")),
    Template("length({0})", ("text",), BIGINT, len),
    Template(
        "case when {0} = 'BOOM' then cast(cast({0} as integer) as varchar) else {0} end",
        ("text",),
        TEXT,
        lambda a: None if a is None else _refuse(a),
        null_aware=True,
    ),
    Template("{0} + 1", ("integer",), BIGINT, lambda a: _bigint(a + 1)),
    Template("{0} * {1}", ("integer", "integer"), BIGINT, lambda a, b: _bigint(a * b)),
    Template("{0} // {1}", ("integer", "integer"), BIGINT, _quotient),
    Template(
        "case when {0} > {1} then {0} else {1} end",
        ("integer", "integer"),
        BIGINT,
        lambda a, b: a if a is not None and b is not None and a > b else b,
        null_aware=True,
    ),
    Template("{0} is null", ("text",), BOOL, lambda a: a is None, null_aware=True),
    Template("{0} = {1}", ("text", "text"), BOOL, lambda a, b: a == b),
    Template("{0} + 30", ("date",), DATE, _later),
    Template("cast({0} as bigint)", ("numeral",), BIGINT, _parsed),
    Template("'fixed'", (), TEXT, lambda: "fixed"),
]
"""For ``sql`` fields."""

CHECKS = [
    Template("{0} is not null", ("text",), BOOL, lambda a: a is not None, null_aware=True),
    Template("length({0}) <= 3", ("text",), BOOL, lambda a: len(a) <= 3),
    Template("{0} <> 'x'", ("text",), BOOL, lambda a: a != "x"),
    Template("{0} in ('A', 'B', 'M')", ("text",), BOOL, lambda a: a in ("A", "B", "M")),
    Template("{0} like 'A%'", ("text",), BOOL, lambda a: a.startswith("A")),
    Template(
        "regexp_full_match({0}, '[0-9]+')",
        ("text",),
        BOOL,
        lambda a: re.fullmatch("[0-9]+", a) is not None,
    ),
    Template("{0} = {1}", ("text", "text"), BOOL, lambda a, b: a == b),
    Template("{0} > 0", ("integer",), BOOL, lambda a: a > 0),
    Template("{0} <= {1}", ("integer", "integer"), BOOL, lambda a, b: a <= b),
    # DuckDB rewrites x + 1 > 0 so that it doesn't overflow; this it takes as it is.
    Template("{0} * {0} >= 0", ("integer",), BOOL, lambda a: _bigint(a * a) >= 0),
    Template("{0} <= {1}", ("date", "date"), BOOL, lambda a, b: a <= b),
    Template("{0} >= date '1900-01-01'", ("date",), BOOL, lambda a: a >= -25567),
    Template("{0}", ("boolean",), BOOL, lambda a: a),
    Template("not {0}", ("boolean",), BOOL, lambda a: not a),
    Template("cast({0} as bigint) > 5", ("numeral",), BOOL, lambda a: _parsed(a) > 5),
]
"""For rules and skips."""
