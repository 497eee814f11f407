"""Values as text in PostgreSQL's own form, and text that has to fit a length."""

from __future__ import annotations

from schemas.column_types import ColumnType
from schemas.conversions.conversion import TOO_LONG, Conversion


def to_text(value: str, source: ColumnType) -> str:
    """SQL for the value in PostgreSQL's text form."""
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
    """Writes all s decimals of a numeric(p,s); decimal text may have fewer, or more zeros."""
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
    """Writes an exponent from ``digits`` whole digits on, as PostgreSQL does."""
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
    """SQL for the digits of decimal text without sign, point, exponent and outer zeros."""
    mantissa = f"regexp_replace({text}, '[eE].*$|[-+.]', '', 'g')"
    return f"trim({mantissa}, '0')"


def within_length(value: str, target: ColumnType) -> Conversion:
    """Rejects text with more characters than the target's length."""
    if target.length is None:
        return Conversion(value)
    fits = f"length({value}) <= {target.length}"
    return Conversion(
        f"CASE WHEN {fits} THEN {value} END", f"CASE WHEN NOT ({fits}) THEN '{TOO_LONG}' END"
    )
