"""Casts of a column's text to a date or time, of which DuckDB reads no more than the beginning.

``2024-01-02 xyz`` becomes 2 January, ``0044-03-15 BC`` a day of the year 44 AD; the seventh decimal
of a second is dropped, and so is the offset of a timestamp.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.sql.callable_functions import walk
from schemas.sql.embedded_duckdb import ask
from schemas.sql.expressions import quote

_DAY = r"\s*[+-]?\d+[-/\\ ]\d+[-/\\ ]\d+(\s*\(BC\))?"
_CLOCK = r"\d+:\d+(:\d+(\.\d{0,6}0*)?)?"
_ANY_CLOCK = r"\d+:\d+(:\d+(\.\d*)?)?\s*(Z|UTC|[+-]\d+(:?\d+){0,2})?"
_NAMED = r"\s*[+-]?[a-zA-Z]+\s*"

_WHOLE = {
    "DATE": rf"{_DAY}([ T]\s*{_ANY_CLOCK})?\s*|{_NAMED}",
    "TIMESTAMP": rf"{_DAY}([ T]\s*{_CLOCK})?\s*|{_NAMED}",
    "TIME": rf"({_DAY}[ T])?\s*{_CLOCK}\s*",
}
"""The texts of which a cast reads everything, or leaves out only what the type doesn't have."""


def find_cut_casts(query: str) -> frozenset[tuple[str, str]]:
    """Find the columns whose text a query casts to a date or time.

    Args:
        query: one bound expression over one row, as ``query_of`` gives it.

    Returns:
        Columns, each with the DuckDB type that its text is cast to.

    Raises:
        duckdb.Error: the query can't be planned.
    """
    plan = json.loads(ask("SELECT json_serialize_plan(?)", [query])[0][0])
    return frozenset(_casts(plan.get("plans", [])))


def cut_condition(column: str, kind: str) -> str:
    """SQL that is true where a cast of the column to the type would leave out a part of its text.

    Args:
        column: a column of the batch with text.
        kind: the DuckDB type, as ``find_cut_casts`` names it.
    """
    return f"coalesce(NOT regexp_full_match({quote(column)}, '{_WHOLE[kind]}'), false)"


def _casts(plans: Any) -> Iterator[tuple[str, str]]:
    for node in walk(plans):
        if node.get("expression_class") != "BOUND_CAST":
            continue
        child, kind = node["child"], _type_of(node)
        is_text = child.get("expression_class") == "BOUND_REF" and _type_of(child) == "VARCHAR"
        if is_text and kind in _WHOLE:
            yield str(child["alias"]), kind


def _type_of(node: Mapping[str, Any]) -> str:
    return str((node.get("return_type") or {}).get("id"))
