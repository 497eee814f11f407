"""Casts of a column's text to a date or time of which DuckDB may read only the beginning.

``2024-01-02 xyz`` becomes 2 January, ``0044-03-15 BC`` a day of the year 44 AD; the seventh decimal
of a second is dropped, and so is the offset of a timestamp.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.sql.callable_functions import walk
from schemas.sql.expressions import quote

_DAY = r"\s*[+-]?\d+[-/\\ ]\d+[-/\\ ]\d+(\s*\(BC\))?"
_CLOCK = r"\d+:\d+(:\d+(\.\d{0,6}0*)?)?"
_ANY_CLOCK = r"\d+:\d+(:\d+(\.\d*)?)?\s*(Z|UTC|[+-]\d+(:?\d+){0,2})?"
_NAMED = r"\s*[+-]?[a-zA-Z]+\s*"

_WHOLE = {
    "DATE": rf"{_DAY}([ T]\s*{_ANY_CLOCK})?\s*|{_NAMED}",
    "TIMESTAMP": rf"{_DAY}([ T]\s*{_CLOCK})?\s*|{_NAMED}",
    "TIME": rf"({_DAY}[ T])?\s*{_CLOCK}\s*",
    "TIMESTAMP_S": rf"{_DAY}([ T]\s*\d+:\d+(:\d+(\.0*)?)?)?\s*|{_NAMED}",
    "TIMESTAMP_MS": rf"{_DAY}([ T]\s*\d+:\d+(:\d+(\.\d{{0,3}}0*)?)?)?\s*|{_NAMED}",
}
"""The texts that a cast reads whole, or but for a part that the type doesn't have."""

_KEEPING = frozenset({"trim", "ltrim", "rtrim", "upper", "lower", "nullif", "coalesce"})
"""Functions that keep the length of a text, but for blanks."""


def find_cut_casts(plan: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Finds the columns whose text a query casts to a date or time.

    Args:
        plan: The ``serialized_plan`` of one bound expression over one row, as ``query_of`` builds
            it.

    Returns:
        Columns, each with the DuckDB type that its text is cast to.
    """
    return frozenset(_casts(plan.get("plans", [])))


def cut_condition(column: str, kind: str) -> str:
    """SQL that is true where a cast of the column to the type would leave out a part of its text.

    Args:
        column: A column of the batch with text.
        kind: The DuckDB type, as ``find_cut_casts`` names it.
    """
    text = quote(column)
    # Text that can't be cast at all raises an error, or becomes NULL in TRY_CAST.
    return (
        f"{text} IS NOT NULL AND NOT regexp_full_match({text}, '{_WHOLE[kind]}')"
        f" AND try_cast({text} AS {kind}) IS NOT NULL"
    )


def _casts(plans: Any) -> Iterator[tuple[str, str]]:
    for node in walk(plans):
        if node.get("expression_class") != "BOUND_CAST":
            continue
        if _type_of(node) in _WHOLE and _type_of(node["child"]) == "VARCHAR":
            for column in _columns_through(node["child"]):
                yield column, _type_of(node)


def _columns_through(node: Mapping[str, Any]) -> Iterator[str]:
    """The columns whose text, but for blanks at its ends, can be the node's."""
    kind = node["expression_class"]
    if kind == "BOUND_REF":
        yield str(node["alias"])
    if kind == "BOUND_FUNCTION" and str(node["name"]).lower() not in _KEEPING:
        return
    if kind in ("BOUND_FUNCTION", "BOUND_OPERATOR"):
        for child in node["children"]:
            yield from _columns_through(child)
    if kind == "BOUND_CASE":
        for check in node["case_checks"]:
            yield from _columns_through(check["then_expr"])
        yield from _columns_through(node["else_expr"])


def _type_of(node: Mapping[str, Any]) -> str:
    return str((node.get("return_type") or {}).get("id"))
