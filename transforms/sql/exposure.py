"""How expressions see the columns of a batch that travel as text but mean something else."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.column_types import ColumnType
from schemas.conversions.convert import EXACT_DIGITS
from schemas.conversions.text_values import significant
from schemas.sql.expressions import quote
from schemas.sql.number_precision import LOOSE_SCALE

LOOSE_DECIMAL = f"DECIMAL(38,{LOOSE_SCALE})"


def visible_name(column: str, kind: ColumnType) -> str:
    """The column that an expression reads: a numeric travels as text, and is seen as a number."""
    return column if kind.is_native or kind.duckdb == "VARCHAR" else f"{column}::value"


def is_loose(kind: ColumnType) -> bool:
    """Whether a numeric has no scale of its own, so that expressions see it with 12 decimals."""
    return kind.name == "numeric" and kind.duckdb == LOOSE_DECIMAL


def has_more_decimals(column: str, decimals: int) -> str:
    """SQL that is true where decimal text has digits behind so many decimals."""
    return rf"regexp_matches({quote(column)}, '\.[0-9]{{{decimals}}}[0-9]*[1-9]')"


def has_more_digits(column: str, kind: ColumnType) -> str | None:
    """SQL that is true where a double has no room for an exact number; None: it always has."""
    if kind.name == "int8":
        return f"abs(CAST({quote(column)} AS HUGEINT)) >= 1e{EXACT_DIGITS}::HUGEINT"
    if kind.name != "numeric" or (kind.precision or 1000) <= EXACT_DIGITS:
        return None
    return f"length({significant(quote(column))}) > {EXACT_DIGITS}"


def has_long_decimals(column: str) -> str:
    """SQL that is true where JSON has a decimal number that a double doesn't give back."""
    text = rf"""regexp_replace({quote(column)}, '"([^"\\]|\\.)*"', '""', 'g')"""
    decimal = r"[0-9]+(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
    back = "CAST(try_cast(number AS DOUBLE) AS VARCHAR)"
    long = (
        f"lambda number: length({significant('number')}) > {EXACT_DIGITS}"
        f" AND {significant(back)} IS DISTINCT FROM {significant('number')}"
    )
    return f"len(list_filter(regexp_extract_all({text}, '{decimal}'), {long})) > 0"


def inexact_condition(column: str, kind: ColumnType) -> str | None:
    """SQL that is true where the visible column lacks a value that the row has."""
    visible = visible_name(column, kind)
    if visible == column:
        return None
    return f"{quote(column)} IS NOT NULL AND {quote(visible)} IS NULL"


def expose(table: str, columns: Sequence[str], types: dict[str, ColumnType]) -> str:
    """SQL for FROM: ``table`` with the visible form of those columns that have another."""
    added = []
    for column in columns:
        kind = types.get(column)
        if kind is None or visible_name(column, kind) == column:
            continue
        value = f"try_cast({quote(column)} AS {kind.duckdb})"
        if kind.name == "bytea":
            value = f"unhex(substr({quote(column)}, 3))"
        if is_loose(kind):
            more = has_more_decimals(column, LOOSE_SCALE)
            value = f"CASE WHEN NOT {more} THEN {value} END"
        added.append(f"{value} AS {quote(visible_name(column, kind))}")
    return table if not added else f"(SELECT *, {', '.join(added)} FROM {table})"
