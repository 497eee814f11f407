"""To text, in the form in which PostgreSQL writes each type; and text that must fit a length."""

from __future__ import annotations

from schemas.column_types import ColumnType
from schemas.conversions.conversion import TOO_LONG, Conversion


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
    if source.name == "numeric" and source.precision is not None and (source.scale or 0) >= 0:
        return _with_all_decimals(value, source.scale or 0)
    if source.name in ("timestamp", "timestamptz"):
        return f"regexp_replace({text}, ' \\(BC\\)(.*)$', '\\1 BC')"
    return value if not source.is_native else text


def _with_all_decimals(value: str, scale: int) -> str:
    """A numeric(p,s) has its s decimals; as decimal text it may have come with fewer or zeros."""
    whole = f"regexp_extract({value}, '^-?[0-9]+')"
    if scale == 0:
        usual, scaled = "-?[0-9]+", whole
    else:
        decimals = rf"rpad(regexp_extract({value}, '\.([0-9]*)$', 1), {scale}, '0')"
        usual, scaled = rf"-?[0-9]+\.[0-9]{{{scale}}}", f"{whole} || '.' || {decimals}"
    # NaN and the infinities have none.
    as_it_is = f"regexp_full_match({value}, '{usual}') OR NOT regexp_matches({value}, '^-?[0-9]')"
    return f"CASE WHEN {as_it_is} THEN {value} ELSE {scaled} END"


def _float_text(value: str, text: str, digits: int) -> str:
    """PostgreSQL writes an exponent from ``digits`` whole digits on, DuckDB from 16 on."""
    whole = f"length(regexp_extract({text}, '^-?([0-9]+)', 1))"
    mantissa = rf"regexp_replace({significant(text)}, '^(.)(.+)$', '\1.\2')"
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


def significant(text: str) -> str:
    """The digits of decimal text without sign, point, exponent and the zeros at both ends."""
    mantissa = f"regexp_replace({text}, '[eE].*$|[-+.]', '', 'g')"
    return f"trim({mantissa}, '0')"


def within_length(value: str, target: ColumnType) -> Conversion:
    if target.length is None:
        return Conversion(value)
    fits = f"length({value}) <= {target.length}"
    return Conversion(
        f"CASE WHEN {fits} THEN {value} END", f"CASE WHEN NOT ({fits}) THEN '{TOO_LONG}' END"
    )
