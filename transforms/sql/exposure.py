"""How expressions see the columns of a batch that travel as text but mean something else."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.column_types import ColumnType
from schemas.sql.expressions import quote

_MORE_DECIMALS = r"\.[0-9]{12}[0-9]*[1-9]"


def visible_name(column: str, kind: ColumnType) -> str:
    """The column that an expression reads: a numeric travels as text, and is seen as a number."""
    return column if kind.is_native or kind.duckdb == "VARCHAR" else f"{column}::value"


def inexact_condition(column: str, kind: ColumnType) -> str | None:
    """SQL that is true where the visible column lacks a value that the row has."""
    visible = visible_name(column, kind)
    if visible == column:
        return None
    return f"{quote(column)} IS NOT NULL AND {quote(visible)} IS NULL"


def exposed(table: str, columns: Sequence[str], types: dict[str, ColumnType]) -> str:
    """SQL for FROM: ``table`` with the visible form of those columns that have another."""
    added = []
    for column in columns:
        kind = types.get(column)
        if kind is None or visible_name(column, kind) == column:
            continue
        value = f"try_cast({quote(column)} AS {kind.duckdb})"
        if kind.name == "bytea":
            value = f"unhex(substr({quote(column)}, 3))"
        if kind.name == "numeric" and kind.duckdb == "DECIMAL(38,12)":
            more = f"regexp_matches({quote(column)}, '{_MORE_DECIMALS}')"
            value = f"CASE WHEN NOT {more} THEN {value} END"
        added.append(f"{value} AS {quote(visible_name(column, kind))}")
    return table if not added else f"(SELECT *, {', '.join(added)} FROM {table})"
