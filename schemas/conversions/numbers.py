"""Conversions to and between numbers, none of which rounds."""

from __future__ import annotations

import re

from schemas.column_types import INTEGERS, ColumnType
from schemas.conversions.conversion import (
    CONVERSION,
    INEXACT,
    OUT_OF_RANGE,
    Conversion,
    ConversionProblem,
    cast_if_matching,
    fallible,
    let,
)
from schemas.conversions.decimals import BEYOND, PLAIN_DECIMAL
from schemas.conversions.text_readings import DATED
from schemas.conversions.text_values import significant, to_text

NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
EXPONENT = r"([eE][+-]?[0-9]+)?"
_NAMED = "[+-]?[iI][nN][fF][iI][nN][iI][tT][yY]|[nN][aA][nN]"


def from_text(value: str, text: str, target: ColumnType) -> Conversion:
    """Converts text to a number; ``text`` is ``value`` without surrounding blanks."""
    if target.name == "numeric":
        return _numeric_from_text(value, text, target)
    if not target.is_integer:
        return to_float(
            cast_if_matching(text, f"({NUMBER}{EXPONENT}|{_NAMED})", text), value, target
        )
    whole = cast_if_matching(text, "[+-]?0*[0-9]{1,19}", f"try_cast({text} AS {target.duckdb})")
    reason = (
        f"CASE WHEN {value} IS NULL OR {whole} IS NOT NULL THEN NULL"
        f" WHEN regexp_full_match({text}, '[+-]?[0-9]+') THEN '{OUT_OF_RANGE}'"
        f" ELSE '{CONVERSION}' END"
    )
    return Conversion(whole, reason)


def _numeric_from_text(value: str, text: str, target: ColumnType) -> Conversion:
    plain = _as_the_server_writes(text)
    scientific = f"regexp_full_match({text}, '{NUMBER}[eE][+-]?[0-9]+')"
    named = f"replace(replace(replace(lower({text}), 'nan', 'NaN'), '+', ''), 'inf', 'Inf')"
    written = (
        f"CASE WHEN regexp_full_match({text}, '{NUMBER}') THEN {plain}"
        f" WHEN {scientific} THEN {PLAIN_DECIMAL}({text})"
        f" WHEN regexp_full_match({text}, '{_NAMED}') THEN {named} END"
    )
    if target.precision is None:
        finite = fallible(value, f"nullif({written}, '{BEYOND}')")
        reason = f"CASE WHEN {written} = '{BEYOND}' THEN '{OUT_OF_RANGE}' ELSE {finite.reason} END"
        return Conversion(finite.value, reason)
    fitting = numeric("plain", value, target)
    assert fitting.reason is not None
    # The conditions repeat the number many times; it is written out and computed once.
    return Conversion(let("plain", written, fitting.value), let("plain", written, fitting.reason))


def _as_the_server_writes(decimal: str) -> str:
    """SQL for decimal text without plus, leading zeros and bare point: 0010 and +10 are 10."""
    steps = (
        (r"^\+", ""),
        ("^(-?)0+([0-9])", r"\1\2"),
        (r"^(-?)\.", r"\10."),
        (r"\.$", ""),
        (r"^-(0(\.0*)?)$", r"\1"),
    )
    plain = decimal
    for pattern, replacement in steps:
        plain = f"regexp_replace({plain}, '{pattern}', '{replacement}')"
    usual = r"-?[1-9][0-9]*(\.[0-9]+)?|0(\.[0-9]+)?"
    return f"CASE WHEN regexp_full_match({decimal}, '{usual}') THEN {decimal} ELSE {plain} END"


def from_integer(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    """Converts an integer. Raises ConversionProblem for types that aren't numbers or bool."""
    if target.is_integer:
        if source.name == target.name:
            return Conversion(value)
        if INTEGERS[source.name] <= INTEGERS[target.name]:
            return Conversion(f"CAST({value} AS {target.duckdb})")
        return fallible(value, f"try_cast({value} AS {target.duckdb})", OUT_OF_RANGE)
    if target.name == "numeric":
        return numeric(f"CAST({value} AS VARCHAR)", value, target)
    if target.name in ("float4", "float8"):
        number = f"CAST({value} AS {target.duckdb})"
        bits = 24 if target.name == "float4" else 53
        exact = (
            f"abs(CAST({value} AS HUGEINT)) <= {2**bits} OR try_cast({number} AS HUGEINT) = {value}"
        )
        return fallible(value, f"CASE WHEN {exact} THEN {number} END", INEXACT)
    if target.name == "bool":
        return fallible(value, f"CASE {value} WHEN 1 THEN true WHEN 0 THEN false END")
    raise ConversionProblem(f"{source} can't become {target}", _way_to(target))


def _way_to(target: ColumnType) -> str:
    """The remedy: how to write the value that a whole number stands for."""
    if target.name in DATED:
        return "give its 'format', such as format: \"%Y%m%d\""
    length = re.search("[0-9]+", target.sql)
    text = {
        "bytea": "'\\\\x' || printf('%08x', COLUMN)",
        "bit": f"right(CAST(CAST(COLUMN AS BIT) AS VARCHAR), {length[0] if length else 1})",
        "varbit": "ltrim(CAST(CAST(COLUMN AS BIT) AS VARCHAR), '0')",
    }.get(target.name, "CAST(COLUMN AS VARCHAR)")
    return f'write the text that {target} reads, as in sql: "{text}"'


def numeric(text: str, value: str, target: ColumnType) -> Conversion:
    """Rejects plain decimal text that doesn't fit a numeric's precision and scale."""
    if target.precision is None:
        return fallible(value, text)
    scale = target.scale or 0
    whole = f"length(regexp_extract({text}, '^[+-]?0*([0-9]*)', 1))"
    fraction = f"length(rtrim(regexp_extract({text}, '\\.([0-9]*)$', 1), '0'))"
    named = f"lower({text}) = 'nan'"
    small = f"{whole} <= {target.precision - scale}"
    if scale > target.precision:
        zeros = "0" * (scale - target.precision)
        small = f"regexp_matches({text}, '^[+-]?0*(\\.({zeros}|0*$)|\\.?$)')"
    exact = f"{fraction} <= {scale}"
    if scale < 0:
        exact = f"regexp_full_match({text}, '{multiple_of_ten(-scale)}')"
    # Only an infinity has no digits, and it fits no precision.
    small = f"({small} AND regexp_matches({text}, '[0-9]'))"
    fits = f"({named} OR ({small} AND {exact}))"
    reason = (
        f"CASE WHEN {value} IS NULL OR {fits} THEN NULL WHEN {text} IS NULL THEN '{CONVERSION}'"
        f" WHEN NOT {small} THEN '{OUT_OF_RANGE}' ELSE '{INEXACT}' END"
    )
    return Conversion(f"CASE WHEN {fits} THEN {text} END", reason)


def multiple_of_ten(zeros: int) -> str:
    """The grammar of plain decimal text that ends with so many zeros before its point."""
    return rf"[+-]?([0-9]*0{{{zeros}}}|0*)(\.0*)?"


def numeric_to_numeric(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    """Converts between numerics of different precision or scale."""
    if target.precision is None:
        return Conversion(value)
    if source.precision is not None:
        room = target.precision - (target.scale or 0) - (source.precision - (source.scale or 0))
        if room >= 0 and (source.scale or 0) <= (target.scale or 0):
            return Conversion(value)
    return numeric(value, value, target)


def numeric_to_integer(value: str, _: ColumnType, target: ColumnType) -> Conversion:
    """Converts a numeric without decimals, but for zeros."""
    whole = f"regexp_extract({value}, '^(-?[0-9]+)(\\.0*)?$', 1)"
    number = f"try_cast(nullif({whole}, '') AS {target.duckdb})"
    reason = (
        f"CASE WHEN {value} IS NULL OR {number} IS NOT NULL THEN NULL"
        f" WHEN {whole} = '' AND regexp_matches({value}, '[0-9]') THEN '{INEXACT}'"
        f" ELSE '{OUT_OF_RANGE}' END"
    )
    return Conversion(number, reason)


def numeric_to_float(value: str, _: ColumnType, target: ColumnType) -> Conversion:
    """Converts a numeric whose digits the float keeps."""
    return to_float(value, value, target)


def to_float(text: str, value: str, target: ColumnType) -> Conversion:
    """Converts decimal text to a binary number that gives back all digits of the text.

    No two numbers share all of 17 digits (9 of a float4); text with more digits is rounded.

    Args:
        text: SQL for the decimal text; NULL where ``value`` is no number.
        value: SQL for the value as the source has it.
        target: float4 or float8.
    """
    number = f"try_cast({text} AS {target.duckdb})"
    finite = f"regexp_matches({text}, '[0-9]')"
    limit = 17 if target.name == "float8" else 9
    count = f"CAST(length({significant(text)}) AS INTEGER)"
    shown = (
        f"format('{{:.{{}}e}}', CAST({number} AS DOUBLE), greatest(1, least({count}, {limit})) - 1)"
    )
    same = f"{significant(text)} = {significant(shown)}"
    # Formatting takes ten times as long as the rest, and a few digits always come back.
    short = f"length({text}) <= {15 if limit == 17 else 6} AND NOT contains(lower({text}), 'e')"
    given_back = f"NOT {finite} OR (isfinite({number}) AND {same})"
    fits = f"CASE WHEN {short} THEN true ELSE {given_back} END"
    reason = (
        f"CASE WHEN {value} IS NULL OR {fits} THEN NULL WHEN {text} IS NULL THEN '{CONVERSION}'"
        f" WHEN isfinite({number}) AND {number} <> 0 THEN '{INEXACT}' ELSE '{OUT_OF_RANGE}' END"
    )
    return Conversion(f"CASE WHEN {fits} THEN {number} END", reason)


def float_to_float(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    """Converts between float4 and float8."""
    if source.name == target.name:
        return Conversion(value)
    if (source.name, target.name) != ("float8", "float4"):
        return Conversion(f"CAST({value} AS {target.duckdb})")
    number = f"try_cast({value} AS FLOAT)"
    same = f"(CAST({number} AS DOUBLE) = {value} OR isnan({value}))"
    return _binary(
        value, f"CASE WHEN {same} THEN {number} END", f"isinf(coalesce({number}, 'inf'))"
    )


def float_to_integer(value: str, _: ColumnType, target: ColumnType) -> Conversion:
    """Converts a float without a fraction."""
    number = f"try_cast({value} AS {target.duckdb})"
    whole = f"{value} = trunc({value})"
    return _binary(value, f"CASE WHEN {whole} THEN {number} END", whole)


def _binary(value: str, converted: str, outside: str) -> Conversion:
    """A conversion of a float, with the SQL condition for failures because it is too large."""
    reason = (
        f"CASE WHEN {value} IS NULL OR {converted} IS NOT NULL THEN NULL"
        f" WHEN {outside} THEN '{OUT_OF_RANGE}' ELSE '{INEXACT}' END"
    )
    return Conversion(converted, reason)


def float_to_numeric(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    """Converts a float by way of its shortest decimal text."""
    text = to_text(value, source)
    if target.precision is None:
        return Conversion(text)
    scale = target.scale or 0
    if target.precision > 38 or not 0 <= scale <= target.precision:
        # DuckDB has no such decimals.
        return _numeric_from_text(text, text, target)
    # A cast of the number itself is off by 0.00001 at -700 (float4).
    number = f"try_cast({text} AS DECIMAL({target.precision},{scale}))"
    shown = f"CAST({number} AS VARCHAR)"
    same = f"(CAST({number} AS DOUBLE) = CAST({text} AS DOUBLE)"
    same += f" AND {significant(shown)} = {significant(text)})"
    exact = f"CASE WHEN isnan({value}) THEN 'NaN' WHEN {same} THEN {shown} END"
    return _binary(value, exact, f"{number} IS NULL")


def bool_to_integer(value: str, _: ColumnType, target: ColumnType) -> Conversion:
    """Converts true to 1 and false to 0."""
    return Conversion(f"CAST({value} AS {target.duckdb})")
