"""Strict conversions between column types, as DuckDB SQL over the transported value.

A conversion gives the value unchanged in meaning, or a reason why it can't: nothing is
rounded, cut, padded or guessed. DuckDB's own casts are lenient (``'5.7'::int`` is 6,
``'0x10'`` 16, ``'1_000'`` 1000), so text is held against a grammar first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.column_types import INTEGERS, ColumnType
from schemas.date_formats import DateFormat

CONVERSION = "conversion"
TOO_LONG = "too_long"
OUT_OF_RANGE = "out_of_range"
INEXACT = "inexact"
AMBIGUOUS = "ambiguous"

REASONS = (CONVERSION, TOO_LONG, OUT_OF_RANGE, INEXACT, AMBIGUOUS)
"""Why a value can't be converted; the position counts from 1 in the engine's columns."""

_BLANKS = "' ' || chr(9) || chr(10) || chr(13)"
_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"
_ZONE = r"(Z|z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
_MIDNIGHT = r"24:00(:00(\.0{1,6})?)?"
_EXPONENT = r"([eE][+-]?[0-9]+)?"
_NAMED = "[+-]?[iI][nN][fF][iI][nN][iI][tT][yY]|[nN][aA][nN]"
_CLOCKED = frozenset(
    {"date", "time", "timetz", "timestamp", "timestamptz", "interval"}
    | {f"{kind}{form}" for kind in ("date", "ts", "tstz") for form in ("range", "multirange")}
)
_GUESSED = "(?i)now|today|tomorrow|yesterday|[0-9]/[0-9]"
"""What the server reads by its clock, or by its order of month and day."""
_RESTRICTED_INTERVAL = re.compile(r"interval (year|month|day|hour|minute|second)")
_TRUE = "('true', 't', 'yes', 'y', 'on', '1')"
_FALSE = "('false', 'f', 'no', 'n', 'off', '0')"


class Unconvertible(ValueError):
    """No conversion between two types keeps the meaning; the text says what to do instead."""


@dataclass(frozen=True)
class Conversion:
    """``value`` gives the converted value, NULL where it fails; ``reason`` a text then.

    Both are SQL over the given value. ``reason`` is NULL SQL (None) for a conversion that
    can't fail. A NULL value converts to NULL without a reason.
    """

    value: str
    reason: str | None = None


def convert(
    value: str, source: ColumnType, target: ColumnType, formats: Sequence[str] = ()
) -> Conversion:
    """The conversion of the SQL expression ``value`` from ``source`` to ``target``.

    ``formats`` are strptime formats for text that becomes a date, time or timestamp.
    Raises Unconvertible where the types don't fit, ValueError for a format that is none.
    """
    if formats:
        if target.name not in ("date", "timestamp", "timestamptz", "time"):
            raise Unconvertible(f"'format' is for dates and times, not for {target}")
        text = to_text(value, source) if not source.is_textual else value
        return _by_format(text, target, [DateFormat.parse(f) for f in formats])
    if source.is_textual:
        return _from_text(value, target)
    if target.is_textual:
        return _length_checked(to_text(value, source), target)
    if source.is_integer:
        return _from_integer(value, source, target)
    direct = _DIRECT.get((source.name, target.name))
    if direct is not None:
        return direct(value, source, target)
    if not source.is_native and not target.is_native:
        return _same_text(value, source, target)
    raise Unconvertible(
        f"{source} can't become {target} without a decision; {_advice(source, target)}"
    )


def _advice(source: ColumnType, target: ColumnType) -> str:
    if source.name == "timestamptz" or target.name == "timestamptz":
        return "say in which zone: sql: \"timezone('Europe/Berlin', column)\""
    return "write the conversion with 'sql'"


def _strict(value: str, grammar: str, cast: str) -> str:
    return f"CASE WHEN regexp_full_match({value}, '{grammar}') THEN {cast} END"


def _failed(value: str, converted: str, reason: str = CONVERSION) -> str:
    return f"CASE WHEN {value} IS NOT NULL AND {converted} IS NULL THEN '{reason}' END"


def _checked(value: str, converted: str, reason: str = CONVERSION) -> Conversion:
    return Conversion(converted, _failed(value, converted, reason))


# -- from text ------------------------------------------------------------------------------


def _from_text(value: str, target: ColumnType) -> Conversion:
    if target.is_textual:
        return _length_checked(value, target)
    text = f"trim({value}, {_BLANKS})"
    if target.name == "bool":
        lowered = f"lower({text})"
        return _checked(
            value,
            f"CASE WHEN {lowered} IN {_TRUE} THEN true WHEN {lowered} IN {_FALSE} THEN false END",
        )
    if target.is_integer:
        whole = _strict(text, "[+-]?0*[0-9]{1,19}", f"try_cast({text} AS {target.duckdb})")
        reason = (
            f"CASE WHEN {value} IS NULL OR {whole} IS NOT NULL THEN NULL"
            f" WHEN regexp_full_match({text}, '[+-]?[0-9]+') THEN '{OUT_OF_RANGE}'"
            f" ELSE '{CONVERSION}' END"
        )
        return Conversion(whole, reason)
    if target.name in ("float4", "float8"):
        return _to_float(_strict(text, f"({_NUMBER}{_EXPONENT}|{_NAMED})", text), value, target)
    if target.name == "numeric":
        return _numeric(_strict(text, _NUMBER, text), value, target)
    if target.name == "date":
        return _checked(value, _strict(text, _DAY, f"try_cast({text} AS DATE)"))
    if target.name == "timestamp":
        grammar = f"{_DAY}([ T]{_TIME})?"
        return _precise(value, _strict(text, grammar, f"try_cast({text} AS TIMESTAMP)"), target)
    if target.name == "timestamptz":
        grammar = f"{_DAY}[ T]{_TIME} ?{_ZONE}"
        # DuckDB's cast knows a zone only right behind seconds, and Z as a capital.
        zoned = f"replace(regexp_replace({text}, ' ([zZ+-])', '\\1'), 'z', 'Z')"
        zoned = f"regexp_replace({zoned}, '([ T][0-9]{{2}}:[0-9]{{2}})([Z+-])', '\\1:00\\2')"
        moment = f"try_cast({zoned} AS TIMESTAMP WITH TIME ZONE)"
        return _precise(value, _strict(text, grammar, moment), target)
    if target.name == "time":
        return _rounded_by_server(value, _strict(text, f"{_TIME}|{_MIDNIGHT}", text), target)
    if target.name == "uuid":
        grammar = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
        return _checked(value, _strict(text, grammar, f"lower({text})"))
    if target.name == "oid":
        return _checked(value, _strict(text, "[0-9]+", text))
    if target.name == '"char"':
        one = r"[\x00-\x7F]?|\\[0-3][0-7]{2}"
        return _checked(value, f"CASE WHEN regexp_full_match({value}, '{one}') THEN {value} END")
    return _rounded_by_server(value, value, target)


def _rounded_by_server(value: str, text: str, target: ColumnType) -> Conversion:
    """Text of a type that the server itself reads, refused where reading it would round."""
    if _RESTRICTED_INTERVAL.match(target.sql):
        raise Unconvertible(
            f"{target} drops what its fields can't hold; copy it from the same type"
        )
    if (target.scale or 0) < 0:
        raise Unconvertible("a negative scale rounds; write the conversion with 'sql'")
    digits = _decimals_kept(target)
    if digits is None:
        return Conversion(text) if text == value else _checked(value, text)
    more = rf"\.[0-9]{{{digits}}}[0-9]*[1-9]"
    if target.name == "_numeric":
        more += "|[0-9.][eE]"
    reason = f"WHEN regexp_matches({text}, '{more}') THEN '{INEXACT}' END"
    if target.name.lstrip("_") in _CLOCKED:
        reason = f"WHEN regexp_matches({text}, '{_GUESSED}') THEN '{CONVERSION}' {reason}"
    if text != value:
        reason = f"WHEN {value} IS NOT NULL AND {text} IS NULL THEN '{CONVERSION}' {reason}"
    reason = f"CASE {reason}"
    return Conversion(f"CASE WHEN ({reason}) IS NULL THEN {text} END", reason)


def _decimals_kept(kind: ColumnType) -> int | None:
    """How many decimals each number in the text of a type keeps; None where it isn't rounded."""
    if kind.name.lstrip("_") == "money":
        return 2
    if kind.name == "_numeric":
        return kind.scale
    return _digits(kind) if kind.name.lstrip("_") in _CLOCKED else None


def _by_format(value: str, target: ColumnType, formats: Sequence[DateFormat]) -> Conversion:
    text = f"trim({value}, {_BLANKS})"
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
        result = _precise(value, parsed, target).value
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


# -- to text --------------------------------------------------------------------------------


def to_text(value: str, source: ColumnType) -> str:
    """The value in the text form that PostgreSQL gives it."""
    text = f"CAST({value} AS VARCHAR)"
    if source.name in ("float4", "float8"):
        return _float_text(value, text, 15 if source.name == "float8" else 6)
    if source.name == "date":
        return f"replace({text}, ' (BC)', ' BC')"
    if source.name == "timestamptz":
        # DuckDB's own text counts milliseconds in a double, which is inexact from 287396 AD on.
        local = f"CAST(make_timestamp(epoch_us({value})) AS VARCHAR) || '+00'"
        text = f"CASE WHEN isfinite({value}) THEN {local} ELSE {text} END"
    if source.name in ("timestamp", "timestamptz"):
        return f"regexp_replace({text}, ' \\(BC\\)(.*)$', '\\1 BC')"
    return value if not source.is_native else text


def _float_text(value: str, text: str, digits: int) -> str:
    """PostgreSQL writes an exponent from ``digits`` whole digits on, DuckDB from 16 on."""
    whole = f"length(regexp_extract({text}, '^-?([0-9]+)', 1))"
    mantissa = rf"regexp_replace({_significant(text)}, '^(.)(.+)$', '\1.\2')"
    scientific = (
        f"CASE WHEN {value} < 0 THEN '-' ELSE '' END || {mantissa}"
        f" || 'e+' || lpad(CAST({whole} - 1 AS VARCHAR), 2, '0')"
    )
    return (
        f"CASE WHEN isnan({value}) THEN 'NaN' WHEN {value} = 'inf'::DOUBLE THEN 'Infinity'"
        f" WHEN {value} = '-inf'::DOUBLE THEN '-Infinity'"
        f" WHEN abs({value}) >= 1e{digits} AND NOT contains({text}, 'e') THEN {scientific}"
        f" ELSE regexp_replace({text}, '\\.0$', '') END"
    )


def _length_checked(value: str, target: ColumnType) -> Conversion:
    if target.length is None:
        return Conversion(value)
    fits = f"length({value}) <= {target.length}"
    return Conversion(
        f"CASE WHEN {fits} THEN {value} END", f"CASE WHEN NOT ({fits}) THEN '{TOO_LONG}' END"
    )


# -- numbers --------------------------------------------------------------------------------


def _from_integer(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    if target.is_integer:
        if source.name == target.name:
            return Conversion(value)
        if INTEGERS[source.name] <= INTEGERS[target.name]:
            return Conversion(f"CAST({value} AS {target.duckdb})")
        return _checked(value, f"try_cast({value} AS {target.duckdb})", OUT_OF_RANGE)
    if target.name == "numeric":
        return _numeric(f"CAST({value} AS VARCHAR)", value, target)
    if target.name in ("float4", "float8"):
        number = f"CAST({value} AS {target.duckdb})"
        bits = 24 if target.name == "float4" else 53
        exact = (
            f"abs(CAST({value} AS HUGEINT)) <= {2**bits} OR try_cast({number} AS HUGEINT) = {value}"
        )
        return _checked(value, f"CASE WHEN {exact} THEN {number} END", INEXACT)
    if target.name == "bool":
        return _checked(value, f"CASE {value} WHEN 1 THEN true WHEN 0 THEN false END")
    raise Unconvertible(f"{source} can't become {target}; give 'format', or write it with 'sql'")


def _numeric(text: str, value: str, target: ColumnType) -> Conversion:
    """Plain decimal text held against a numeric's precision and scale."""
    if target.precision is None:
        return _checked(value, text)
    scale = target.scale or 0
    if scale < 0:
        raise Unconvertible("a negative scale rounds; write the conversion with 'sql'")
    whole = f"length(regexp_extract({text}, '^[+-]?0*([0-9]*)', 1))"
    fraction = f"length(rtrim(regexp_extract({text}, '\\.([0-9]*)$', 1), '0'))"
    named = f"lower({text}) = 'nan'"
    small = f"{whole} <= {target.precision - scale}"
    if scale > target.precision:
        zeros = "0" * (scale - target.precision)
        small = f"regexp_matches({text}, '^[+-]?0*(\\.({zeros}|0*$)|\\.?$)')"
    # Digits are asked for last: only an infinity has none, and it fits no precision.
    small = f"({small} AND regexp_matches({text}, '[0-9]'))"
    fits = f"({named} OR ({small} AND {fraction} <= {scale}))"
    reason = (
        f"CASE WHEN {value} IS NULL OR {fits} THEN NULL WHEN {text} IS NULL THEN '{CONVERSION}'"
        f" WHEN NOT {small} THEN '{OUT_OF_RANGE}' ELSE '{INEXACT}' END"
    )
    return Conversion(f"CASE WHEN {fits} THEN {text} END", reason)


def _numeric_to_numeric(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    if target.precision is None:
        return Conversion(value)
    if source.precision is not None:
        room = target.precision - (target.scale or 0) - (source.precision - (source.scale or 0))
        if room >= 0 and (source.scale or 0) <= (target.scale or 0):
            return Conversion(value)
    return _numeric(value, value, target)


def _numeric_to_integer(value: str, _: ColumnType, target: ColumnType) -> Conversion:
    whole = f"regexp_extract({value}, '^(-?[0-9]+)(\\.0*)?$', 1)"
    number = f"try_cast(nullif({whole}, '') AS {target.duckdb})"
    reason = (
        f"CASE WHEN {value} IS NULL OR {number} IS NOT NULL THEN NULL"
        f" WHEN {whole} = '' AND regexp_matches({value}, '[0-9]') THEN '{INEXACT}'"
        f" ELSE '{OUT_OF_RANGE}' END"
    )
    return Conversion(number, reason)


def _numeric_to_float(value: str, _: ColumnType, target: ColumnType) -> Conversion:
    return _to_float(value, value, target)


def _to_float(text: str, value: str, target: ColumnType) -> Conversion:
    """Decimal text as a binary number, if that gives back the digits that the text has.

    Of 17 digits (9 in a float4) no two numbers share all; what has more has been rounded.
    """
    number = f"try_cast({text} AS {target.duckdb})"
    finite = f"regexp_matches({text}, '[0-9]')"
    limit = 17 if target.name == "float8" else 9
    count = f"CAST(length({_significant(text)}) AS INTEGER)"
    shown = (
        f"format('{{:.{{}}e}}', CAST({number} AS DOUBLE), greatest(1, least({count}, {limit})) - 1)"
    )
    same = f"{_significant(text)} = {_significant(shown)}"
    # Formatting takes ten times as long as all the rest, and few digits always come back.
    short = f"length({text}) <= {15 if limit == 17 else 6} AND NOT contains(lower({text}), 'e')"
    given_back = f"NOT {finite} OR (isfinite({number}) AND {same})"
    fits = f"CASE WHEN {short} THEN true ELSE {given_back} END"
    reason = (
        f"CASE WHEN {value} IS NULL OR {fits} THEN NULL WHEN {text} IS NULL THEN '{CONVERSION}'"
        f" WHEN isfinite({number}) AND {number} <> 0 THEN '{INEXACT}' ELSE '{OUT_OF_RANGE}' END"
    )
    return Conversion(f"CASE WHEN {fits} THEN {number} END", reason)


def _significant(text: str) -> str:
    """The digits of decimal text without sign, point, exponent and the zeros at both ends."""
    mantissa = f"regexp_replace({text}, '[eE].*$|[-+.]', '', 'g')"
    return f"trim({mantissa}, '0')"


def _float_to_float(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    if source.name == target.name:
        return Conversion(value)
    if (source.name, target.name) != ("float8", "float4"):
        return Conversion(f"CAST({value} AS {target.duckdb})")
    number = f"try_cast({value} AS FLOAT)"
    same = f"(CAST({number} AS DOUBLE) = {value} OR isnan({value}))"
    return _binary(
        value, f"CASE WHEN {same} THEN {number} END", f"isinf(coalesce({number}, 'inf'))"
    )


def _float_to_integer(value: str, _: ColumnType, target: ColumnType) -> Conversion:
    number = f"try_cast({value} AS {target.duckdb})"
    whole = f"{value} = trunc({value})"
    return _binary(value, f"CASE WHEN {whole} THEN {number} END", whole)


def _binary(value: str, converted: str, outside: str) -> Conversion:
    """A float converted, with the condition under which it failed for being too large."""
    reason = (
        f"CASE WHEN {value} IS NULL OR {converted} IS NOT NULL THEN NULL"
        f" WHEN {outside} THEN '{OUT_OF_RANGE}' ELSE '{INEXACT}' END"
    )
    return Conversion(converted, reason)


def _float_to_numeric(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    text = to_text(value, source)
    if target.precision is None:
        return Conversion(text)
    scale = target.scale or 0
    if target.precision > 38 or not 0 <= scale <= target.precision:
        raise Unconvertible(f"{source} can't become {target}; write the conversion with 'sql'")
    # By way of its digits: a cast of the number itself is off by 0.00001 at -700 (float4).
    number = f"try_cast({text} AS DECIMAL({target.precision},{scale}))"
    shown = f"CAST({number} AS VARCHAR)"
    same = f"(CAST({number} AS DOUBLE) = CAST({text} AS DOUBLE)"
    same += f" AND {_significant(shown)} = {_significant(text)})"
    exact = f"CASE WHEN isnan({value}) THEN 'NaN' WHEN {same} THEN {shown} END"
    return _binary(value, exact, f"{number} IS NULL")


def _bool_to_integer(value: str, _: ColumnType, target: ColumnType) -> Conversion:
    return Conversion(f"CAST({value} AS {target.duckdb})")


# -- dates and times ------------------------------------------------------------------------


def _precise(value: str, moment: str, target: ColumnType) -> Conversion:
    """Held against the fractional digits of ``timestamp(n)``."""
    if target.precision is None or target.precision >= 6:
        return _checked(value, moment)
    step = 10 ** (6 - target.precision)
    exact = f"(NOT isfinite({moment}) OR epoch_us({moment}) % {step} = 0)"
    reason = (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN {moment} IS NULL THEN '{CONVERSION}'"
        f" WHEN NOT {exact} THEN '{INEXACT}' END"
    )
    return Conversion(f"CASE WHEN {exact} THEN {moment} END", reason)


def _same_moment(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    if _digits(source) <= _digits(target):
        return Conversion(value)
    return _precise(value, value, target)


def _digits(kind: ColumnType) -> int:
    """The fractional digits of the seconds of a time or timestamp."""
    return 6 if kind.precision is None else kind.precision


def _date_to_timestamp(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    return _checked(value, f"try_cast({value} AS TIMESTAMP)", OUT_OF_RANGE)


def _timestamp_to_date(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    day = f"try_cast({value} AS DATE)"
    whole = f"(NOT isfinite({value}) OR {value} = date_trunc('day', {value}))"
    return _checked(value, f"CASE WHEN {whole} THEN {day} END", INEXACT)


def _unchanged(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    return Conversion(value)


def _same_text(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    """Between types that travel as text: the server reads its own text form back."""
    if source.name == target.name or {source.name, target.name} <= {"json", "jsonb"}:
        if source == target:
            return Conversion(value)
        return _rounded_by_server(value, value, target)
    raise Unconvertible(f"{source} can't become {target}; write the conversion with 'sql'")


_DIRECT = {
    ("bool", "bool"): _unchanged,
    **{("bool", integer): _bool_to_integer for integer in INTEGERS},
    ("date", "date"): _unchanged,
    ("date", "timestamp"): _date_to_timestamp,
    ("timestamp", "date"): _timestamp_to_date,
    ("timestamp", "timestamp"): _same_moment,
    ("timestamptz", "timestamptz"): _same_moment,
    ("numeric", "numeric"): _numeric_to_numeric,
    **{("numeric", integer): _numeric_to_integer for integer in INTEGERS},
    **{("numeric", number): _numeric_to_float for number in ("float4", "float8")},
    **{(a, b): _float_to_float for a in ("float4", "float8") for b in ("float4", "float8")},
    **{(n, i): _float_to_integer for n in ("float4", "float8") for i in INTEGERS},
    **{(n, "numeric"): _float_to_numeric for n in ("float4", "float8")},
}
