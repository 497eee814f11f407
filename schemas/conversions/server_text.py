"""Types that the server itself reads from text; values that it would alter are refused."""

from __future__ import annotations

import re

from schemas.column_types import ColumnType
from schemas.conversions.conversion import (
    CONVERSION,
    INEXACT,
    Conversion,
    ConversionProblem,
    fallible,
)
from schemas.conversions.documents import has_repeated_key
from schemas.conversions.elements import strictness_of, tokens_of
from schemas.conversions.moments import fraction_digits
from schemas.conversions.numbers import EXPONENT, NUMBER, multiple_of_ten, to_float
from schemas.conversions.scalars import lenience_of

CLOCKED = frozenset(
    {"date", "time", "timetz", "timestamp", "timestamptz", "interval"}
    | {f"{kind}{form}" for kind in ("date", "ts", "tstz") for form in ("range", "multirange")}
)
_MADE_OF_FLOATS = frozenset(
    {"float4", "float8", "point", "line", "lseg", "box", "path", "polygon", "circle"} | {"cube"}
)
_GUESSED = "(?i)now|today|tomorrow|yesterday|[0-9]/[0-9]"
"""Text that the server reads by its clock, or by its order of month and day."""
_RESTRICTED_INTERVAL = re.compile(r"interval (year|month|day|hour|minute|second)")


def read_by_server(value: str, text: str, target: ColumnType) -> Conversion:
    """Checks text of a type that the server itself reads, as strictly as that of scalars.

    Args:
        value: SQL for the text as the source has it.
        text: SQL for the text that the server gets; NULL where it is refused.
        target: The type that the server reads.

    Raises:
        ConversionProblem: The server would alter values of this type silently.
    """
    strict = strictness_of(text, target) or lenience_of(text, target)
    exact = _exact_conversion(value, text, target)
    if strict is None:
        return exact
    reason = strict if exact.reason is None else f"coalesce({strict}, {exact.reason})"
    return Conversion(f"CASE WHEN ({strict}) IS NULL THEN {exact.value} END", reason)


def _exact_conversion(value: str, text: str, target: ColumnType) -> Conversion:
    """Text for the server, refused where it would round it or read it by its clock."""
    if _RESTRICTED_INTERVAL.match(target.sql):
        raise ConversionProblem(
            f"{target} drops what its fields can't hold", "copy it from the same type"
        )
    if target.name in ("_jsonb", "_hstore"):
        raise ConversionProblem(f"text can't become {target}", "write the conversion with 'sql'")
    if target.name == "jsonb":
        repeated = has_repeated_key(text)
        return _unless(f"CASE WHEN {repeated} THEN '{INEXACT}' END", text)
    if target.name.lstrip("_") in _MADE_OF_FLOATS:
        return _unless(_rounds_a_number(text, target), text)
    if target.name == "_numeric" and (target.scale or 0) < 0:
        return _unless(_rounds_whole_numbers(text, -(target.scale or 0)), text)
    digits = _decimals_kept(target)
    if digits is None:
        return Conversion(text) if text == value else fallible(value, text)
    more = rf"\.[0-9]{{{digits}}}[0-9]*[1-9]"
    if target.name == "_numeric":
        more += "|[0-9.][eE]"
    reason = f"WHEN regexp_matches({text}, '{more}') THEN '{INEXACT}' END"
    if target.name.lstrip("_") in CLOCKED:
        reason = f"WHEN regexp_matches({text}, '{_GUESSED}') THEN '{CONVERSION}' {reason}"
    if text != value:
        reason = f"WHEN {value} IS NOT NULL AND {text} IS NULL THEN '{CONVERSION}' {reason}"
    return _unless(f"CASE {reason}", text)


def _rounds_whole_numbers(text: str, zeros: int) -> str:
    """SQL for the reason where a number in an array ends with fewer zeros."""
    fitting = f"(?i)({multiple_of_ten(zeros)}|null|nan|[+-]?infinity)"
    odd_tokens = (
        f"list_filter({tokens_of(text)}, lambda token: NOT regexp_full_match(token, '{fitting}'))"
    )
    return f"CASE WHEN len({odd_tokens}) > 0 THEN '{INEXACT}' END"


def _unless(reason: str, text: str) -> Conversion:
    return Conversion(f"CASE WHEN ({reason}) IS NULL THEN {text} END", reason)


def _rounds_a_number(text: str, target: ColumnType) -> str:
    """SQL for the reason where the target rounds a number of the text."""
    name = "float4" if target.name == "_float4" else "float8"
    numbers = f"regexp_extract_all({text}, '{NUMBER}{EXPONENT}')"
    reason = to_float("number", "number", ColumnType(name, name)).reason
    rounded = f"list_filter({numbers}, lambda number: ({reason}) IS NOT NULL)"
    return f"CASE WHEN len({rounded}) > 0 THEN '{INEXACT}' END"


def _decimals_kept(kind: ColumnType) -> int | None:
    """The decimals to which a type rounds each number in its text; None if it doesn't."""
    if kind.name.lstrip("_") == "money":
        return 2
    if kind.name == "_numeric":
        return kind.scale
    return fraction_digits(kind) if kind.name.lstrip("_") in CLOCKED else None


def same_text(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    """Converts between types that travel as text: the server reads its own text form."""
    if source.name == target.name or {source.name, target.name} <= {"json", "jsonb"}:
        if source == target or source.name == target.name == "json":
            return Conversion(value)
        return _exact_conversion(value, value, target)
    raise ConversionProblem(f"{source} can't become {target}", way_between(source, target))


def way_between(source: ColumnType, target: ColumnType) -> str:
    """The remedy for a conversion that needs a person's decision."""
    if target.name == "money":
        # Nothing says in which currency the numbers are.
        return 'if they are in its currency, write sql: "CAST(COLUMN AS VARCHAR)"'
    if source.name == "money" and (target.is_integer or target.name in _NUMBERS):
        # lc_monetary is the same in all sessions.
        plain = "replace(replace(COLUMN, '$', ''), ',', '')"
        return f'without its currency: sql: "CAST({plain} AS DECIMAL(38,2))"'
    return "write the conversion with 'sql'"


_NUMBERS = ("float4", "float8", "numeric")
