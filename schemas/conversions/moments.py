"""Conversions to and between dates, times and timestamps."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.blanks import BLANKS_SQL
from schemas.column_types import ColumnType
from schemas.conversions.conversion import (
    AMBIGUOUS,
    CONVERSION,
    INEXACT,
    OUT_OF_RANGE,
    Conversion,
    Unconvertible,
    checked,
    strict,
)
from schemas.date_formats import DateFormat

TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"
_ZONE = r"(Z|z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
MIDNIGHT = r"24:00(:00(\.0{1,6})?)?"


def from_text(value: str, text: str, target: ColumnType) -> Conversion:
    """``text`` is ``value`` without surrounding blanks."""
    if target.name == "date":
        return checked(value, strict(text, _DAY, f"try_cast({text} AS DATE)"))
    if target.name == "timestamp":
        grammar = f"{_DAY}([ T]{TIME})?"
        return precise(value, strict(text, grammar, f"try_cast({text} AS TIMESTAMP)"), target)
    grammar = f"{_DAY}[ T]{TIME} ?{_ZONE}"
    # DuckDB's cast knows a zone only right behind seconds, and Z as a capital.
    zoned = f"replace(regexp_replace({text}, ' ([zZ+-])', '\\1'), 'z', 'Z')"
    zoned = f"regexp_replace({zoned}, '([ T][0-9]{{2}}:[0-9]{{2}})([Z+-])', '\\1:00\\2')"
    moment = f"try_cast({zoned} AS TIMESTAMP WITH TIME ZONE)"
    return precise(value, strict(text, grammar, moment), target)


def by_format(value: str, target: ColumnType, formats: Sequence[DateFormat]) -> Conversion:
    text = f"trim({value}, {BLANKS_SQL})"
    kind = "TIMESTAMP WITH TIME ZONE" if target.name == "timestamptz" else "TIMESTAMP"
    if target.name == "timestamptz" and not all(f.has_zone for f in formats):
        raise Unconvertible("a timestamptz needs a format with a zone (%z)")
    readings = [
        f"CASE WHEN regexp_full_match({text}, '{f.grammar}')"
        f" THEN try_cast(try_strptime({text}, '{f.pattern}') AS {kind}) END"
        for f in formats
    ]
    parsed = readings[0] if len(readings) == 1 else f"coalesce({', '.join(readings)})"
    clashes = [f"({a}) <> ({b})" for i, a in enumerate(readings) for b in readings[i + 1 :]]
    ambiguous = f"coalesce({' OR '.join(f'coalesce({c}, false)' for c in clashes)}, false)"
    if target.name == "date":
        result = f"CASE WHEN {parsed} = date_trunc('day', {parsed}) THEN CAST({parsed} AS DATE) END"
    else:
        result = precise(value, parsed, target).value
    if target.name == "time":
        result = f"CAST(CAST({result} AS TIME) AS VARCHAR)"
    reason = (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN {parsed} IS NULL THEN '{CONVERSION}'"
        + (f" WHEN {ambiguous} THEN '{AMBIGUOUS}'" if clashes else "")
        + f" WHEN {result} IS NULL THEN '{INEXACT}' END"
    )
    if clashes:
        result = f"CASE WHEN NOT {ambiguous} THEN {result} END"
    return Conversion(result, reason)


def precise(value: str, moment: str, target: ColumnType) -> Conversion:
    """Held against the fractional digits of ``timestamp(n)``."""
    if target.precision is None or target.precision >= 6:
        return checked(value, moment)
    step = 10 ** (6 - target.precision)
    exact = f"(NOT isfinite({moment}) OR epoch_us({moment}) % {step} = 0)"
    reason = (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN {moment} IS NULL THEN '{CONVERSION}'"
        f" WHEN NOT {exact} THEN '{INEXACT}' END"
    )
    return Conversion(f"CASE WHEN {exact} THEN {moment} END", reason)


def same_moment(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    if fraction_digits(source) <= fraction_digits(target):
        return Conversion(value)
    return precise(value, value, target)


def fraction_digits(kind: ColumnType) -> int:
    """The fractional digits of the seconds of a time or timestamp."""
    return 6 if kind.precision is None else kind.precision


def date_to_timestamp(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    return checked(value, f"try_cast({value} AS TIMESTAMP)", OUT_OF_RANGE)


def timestamp_to_date(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    day = f"try_cast({value} AS DATE)"
    whole = f"(NOT isfinite({value}) OR {value} = date_trunc('day', {value}))"
    return checked(value, f"CASE WHEN {whole} THEN {day} END", INEXACT)
