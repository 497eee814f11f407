"""Conversion of an SQL expression from one column type to another."""

from __future__ import annotations

from dataclasses import replace

from schemas.blanks import trim_sql
from schemas.column_types import INTEGERS, TEXT, ColumnType
from schemas.conversions import moments, numbers
from schemas.conversions.bytes_text import bytes_from_text, missing_encoding, recode
from schemas.conversions.conversion import (
    CONVERSION,
    INEXACT,
    Conversion,
    ConversionProblem,
    cast_if_matching,
    fallible,
)
from schemas.conversions.formatted import by_format
from schemas.conversions.json_scalars import array_of, element_of, scalar_text
from schemas.conversions.moments import FINER_TIME, MIDNIGHT, TIME
from schemas.conversions.server_text import read_by_server, same_text, way_between
from schemas.conversions.text_readings import AS_WRITTEN, Reading
from schemas.conversions.text_values import significant, to_text, within_length

_NUMBERS = ("float4", "float8", "numeric")

EXACT_DIGITS, EXACT_DIGITS_OF_REAL = 15, 6
"""Decimal digits that survive the way through a double or a real."""

_TRUE = "('true', 't', 'yes', 'y', 'on', '1')"
_FALSE = "('false', 'f', 'no', 'n', 'off', '0')"


def convert(
    value: str, source: ColumnType, target: ColumnType, reading: Reading = AS_WRITTEN
) -> Conversion:
    """Converts an SQL expression from one type to another.

    Args:
        value: The expression.
        source: Its type.
        target: The type of the result.
        reading: What the specification decides where the types leave it open.

    Returns:
        SQL for the value, and for the reason why there is none.

    Raises:
        ConversionProblem: The types don't fit, or the specification leaves open how.
        ValueError: A format can't be parsed.
    """
    _check_source(source, target)
    if source.scalars is not None and target.name not in ("json", "jsonb"):
        if not source.is_list:
            return convert(scalar_text(value), TEXT, target, reading)
        if target.name.startswith("_"):
            element = element_of(target)
            convert("one", source.scalars, element, reading)
            return array_of(value, source, element, convert("one", TEXT, element, reading))
    if source.is_computed:
        return _from_computed(value, source, target, reading)
    if reading.encoding is not None:
        return recode(value, source, target, reading.encoding)
    if source.is_bytes and target.is_textual:
        raise missing_encoding(source, target)
    if reading.formats:
        text = to_text(value, source) if not source.is_textual else value
        return by_format(text, target, reading)
    if source.is_textual:
        return _from_text(value, target, reading)
    return _between_types(value, source, target, reading)


def _check_source(source: ColumnType, target: ColumnType) -> None:
    """Refuses a type whose values can mean several things in the target's type."""
    if source.name == "union":
        raise ConversionProblem(
            f"{source} can't become {target}: the file doesn't say which of them a value is",
            "write the column with one type",
        )
    if source.holds_reals and not (target.is_integer or target.name in ("float4", "float8")):
        raise ConversionProblem(
            f"its values are real and double precision, which can become {target} in two ways: a"
            " real of 0.1 is 0.10000000149011612 as a double",
            'to write that, sql: "CAST(COLUMN AS DOUBLE)"; else read them as two loads',
        )


def _between_types(
    value: str, source: ColumnType, target: ColumnType, reading: Reading
) -> Conversion:
    """Values that aren't text, as values of another type or as text."""
    between = moments.between_zones(value, source, target, reading)
    if between is not None:
        return between
    if reading.zone is not None:
        raise _zone_without_use(source, target)
    if target.is_textual:
        return within_length(to_text(value, source), target)
    if source.is_integer:
        return numbers.from_integer(value, source, target)
    direct = _DIRECT.get((source.name, target.name))
    if direct is not None:
        return direct(value, source, target)
    if not source.is_native and not target.is_native:
        return same_text(value, source, target)
    raise ConversionProblem(
        f"{source} can't become {target} without a decision", way_between(source, target)
    )


def _from_computed(
    value: str, source: ColumnType, target: ColumnType, reading: Reading
) -> Conversion:
    """A number that an expression computed: its decimals or last digits are an artefact."""
    stored = replace(source, is_computed=False)
    if source.name == "numeric":
        if target.is_textual or reading.formats:
            raise ConversionProblem(
                f"the number that the expression computes has no fixed number of decimals, which"
                f" {target} would show",
                'name how many it has, as in sql: "round(EXPRESSION, 2)"',
            )
        return convert(value, stored, target, reading)
    conversion = convert(value, stored, target, reading)
    if target.name in ("float4", "float8"):
        return conversion
    digits = EXACT_DIGITS if source.name == "float8" else EXACT_DIGITS_OF_REAL
    text = to_text(value, stored)
    exact = f"length({significant(text)}) <= {digits} AND abs({value}) < 1e{digits}"
    noise = f"CASE WHEN isfinite({value}) AND NOT ({exact}) THEN '{INEXACT}' END"
    reason = noise if conversion.reason is None else f"coalesce({conversion.reason}, {noise})"
    return Conversion(f"CASE WHEN ({noise}) IS NULL THEN {conversion.value} END", reason)


def _zone_without_use(source: ColumnType, target: ColumnType) -> ConversionProblem:
    return ConversionProblem(
        f"'zone' decides nothing between {source} and {target}: it is for local times that become"
        " a timestamptz, and back",
        "remove 'zone'",
    )


def _from_text(value: str, target: ColumnType, reading: Reading) -> Conversion:
    if reading.zone is not None and target.name not in ("date", "timestamp", "timestamptz"):
        raise _zone_without_use(ColumnType("text", "text"), target)
    if target.is_textual:
        return within_length(value, target)
    text = trim_sql(value)
    if target.name == "bool":
        lowered = f"lower({text})"
        return fallible(
            value,
            f"CASE WHEN {lowered} IN {_TRUE} THEN true WHEN {lowered} IN {_FALSE} THEN false END",
        )
    if target.is_integer or target.name in _NUMBERS:
        return numbers.from_text(value, text, target)
    if target.name in ("date", "timestamp", "timestamptz"):
        return moments.from_text(value, text, target, reading)
    if target.name == "time":
        time = read_by_server(value, cast_if_matching(text, f"{TIME}|{MIDNIGHT}", text), target)
        finer = f"({time.reason}) = '{CONVERSION}' AND regexp_full_match({text}, '{FINER_TIME}')"
        reason = f"CASE WHEN {finer} THEN '{INEXACT}' ELSE {time.reason} END"
        return Conversion(time.value, reason)
    if target.name == "uuid":
        return fallible(value, _uuid(text))
    if target.name == "oid":
        return fallible(value, cast_if_matching(text, "[0-9]+", text))
    if target.name == "bytea":
        return bytes_from_text(value)
    if target.name == '"char"':
        one = r"[\x00-\x7F]?|\\[0-3][0-7]{2}"
        return fallible(value, f"CASE WHEN regexp_full_match({value}, '{one}') THEN {value} END")
    return read_by_server(value, value, target)


def _uuid(text: str) -> str:
    """SQL for a UUID as PostgreSQL writes it, from text with or without dashes and braces."""
    dashed = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    plain = f"lower({text})"
    bare = rf"regexp_replace({plain}, '[-{{}}]', '', 'g')"
    parts = "^(.{8})(.{4})(.{4})(.{4})(.{12})$"
    written = rf"regexp_replace({bare}, '{parts}', '\1-\2-\3-\4-\5')"
    other = rf"\{{{dashed}\}}|[0-9A-Fa-f]{{32}}"
    return (
        f"CASE WHEN regexp_full_match({text}, '{dashed}') THEN {plain}"
        f" WHEN regexp_full_match({text}, '{other}') THEN {written} END"
    )


def _keep_value(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    return Conversion(value)


def _uuid_of_bytes(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    if source.length != 16:
        raise ConversionProblem(
            f"{source} can't become {target}: only 16 bytes are one",
            "write the conversion with 'sql'",
        )
    parts = r"^\\x(.{8})(.{4})(.{4})(.{4})(.{12})$"
    return Conversion(rf"regexp_replace({value}, '{parts}', '\1-\2-\3-\4-\5')")


_DIRECT = {
    ("bool", "bool"): _keep_value,
    **{("bool", integer): numbers.bool_to_integer for integer in INTEGERS},
    ("date", "date"): _keep_value,
    ("date", "timestamp"): moments.date_to_timestamp,
    ("timestamp", "date"): moments.timestamp_to_date,
    ("timestamp", "timestamp"): moments.same_moment,
    ("timestamptz", "timestamptz"): moments.same_moment,
    ("numeric", "numeric"): numbers.numeric_to_numeric,
    **{("numeric", integer): numbers.numeric_to_integer for integer in INTEGERS},
    **{("numeric", number): numbers.numeric_to_float for number in ("float4", "float8")},
    **{(a, b): numbers.float_to_float for a in ("float4", "float8") for b in ("float4", "float8")},
    **{(n, i): numbers.float_to_integer for n in ("float4", "float8") for i in INTEGERS},
    **{(n, "numeric"): numbers.float_to_numeric for n in ("float4", "float8")},
    ("bytea", "uuid"): _uuid_of_bytes,
}
