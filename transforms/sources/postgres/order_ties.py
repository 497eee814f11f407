"""Whether the rows of a plan are numbered, or some of them chosen, in an order that has ties.

The server is free to order equals differently whenever it is asked, so two sessions may get
different rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg

from schemas.catalog import Relation
from transforms.sources.postgres.plan_nodes import function_names, nodes_of, read_plan
from transforms.sources.postgres.view_texts import view_texts

_PICKS_ROWS = frozenset(
    {"row_number", "ntile", "first_value", "last_value", "nth_value", "lag", "lead"}
    | {"string_agg", "array_agg", "json_agg", "jsonb_agg", "xmlagg"}
)
"""Window functions, and aggregates, of which the result depends on the order among equals."""

_COUNTS_PEERS = frozenset({"rank", "dense_rank", "percent_rank", "cume_dist"})
"""Those that give the same for equals, whatever their frame."""

_ROWS_FRAME = re.compile(r"\bROWS\s+(BETWEEN|UNBOUNDED|CURRENT|\d)", re.IGNORECASE)
"""A frame of rows: then any aggregate over it depends on the order among equals."""

_OTHER_ORDERS = (
    "enable_indexscan",
    "enable_indexonlyscan",
    "enable_bitmapscan",
    "max_parallel_workers_per_gather",
)
"""What lets rows come in the order of an index, or through several processes."""

_KEYS = """
SELECT array_agg(quote_ident(a.attname)::text) FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number AND a.attnum > 0
WHERE n.nspname = %s AND c.relname = %s AND i.indisunique AND i.indisvalid AND i.indimmediate
  AND i.indpred IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid HAVING bool_and(coalesce(a.attnotnull, false))
"""


_CHOICE = re.compile(r"\b(DISTINCT ON|LIMIT|OFFSET|FETCH)\b", re.IGNORECASE)
"""Clauses that keep some rows of an order; where none is written, a node that does so is the
server's own and its result doesn't depend on ties."""

_JOINS = frozenset({"Hash Join", "Merge Join", "Nested Loop", "Hash", "Materialize", "Memoize"})
"""Nodes whose rows are identified by the rows of all tables below them."""

_EQUAL = re.compile(r"\(([\w.]+) = ([\w.]+)\)")
_NOT_ALL = re.compile(r"\b(OR|NOT|CASE)\b")

_DIRECTION = re.compile(r"( DESC| ASC| USING \S+)?( NULLS (FIRST|LAST))?$")


def find_order_ties(
    connection: psycopg.Connection[Any], relation: Relation, plan: Any
) -> tuple[str, ...]:
    """Find the window functions and clauses whose result depends on how ties are ordered.

    Args:
        connection: a session to the source.
        relation: the view or query that is planned.
        plan: its plan, VERBOSE and as JSON.

    Returns:
        Their names (``row_number() OVER``, ``DISTINCT ON``, ``LIMIT``), sorted; empty where each
        order includes a key of every table that it sorts.
    """
    if not (_windows(plan) or _choices(plan)):
        return ()
    texts = [*view_texts(connection, relation), relation.query or ""]
    sorting = _sorting_plan(connection, relation)
    by_rows = any(_ROWS_FRAME.search(text) for text in texts)
    names = {
        f"{name}() OVER"
        for node in _windows(sorting)
        for name in _own_functions(node)
        if name in _PICKS_ROWS or (by_rows and name not in _COUNTS_PEERS)
        if not _is_sorted_by_key(connection, node)
    }
    if any(_CHOICE.search(text) for text in texts):
        names |= {
            "LIMIT" if node["Node Type"] == "Limit" else "DISTINCT ON"
            for node in _choices(sorting)
            if not (_is_sorted_by_key(connection, node) or _shows_order_alone(node))
        }
    return tuple(sorted(names))


def _windows(plan: Any) -> list[dict[str, Any]]:
    return [node for node in nodes_of(plan) if node.get("Node Type") == "WindowAgg"]


def _sorting_plan(connection: psycopg.Connection[Any], relation: Relation) -> Any:
    """A plan of one process that sorts for each window, which shows its order."""
    with connection.transaction(force_rollback=True):
        for setting in _OTHER_ORDERS:
            connection.execute("SELECT set_config(%s, '0', true)", [setting])
        return read_plan(connection, relation)


def _own_functions(window: dict[str, Any]) -> Counter[str]:
    """The functions in expressions over the node's own window, not in those from below it."""
    below = Counter(name for node in window.get("Plans", []) for name in _over(node))
    return Counter(_over(window)) - below


def _over(node: dict[str, Any]) -> Iterator[str]:
    for text in node.get("Output", []):
        if " OVER " in text:
            yield from function_names(text)


def _choices(plan: Any) -> list[dict[str, Any]]:
    return [node for node in nodes_of(plan) if node.get("Node Type") in ("Limit", "Unique")]


def _shows_order_alone(choice: dict[str, Any]) -> bool:
    """Whether a node gives nothing but what its rows are sorted by: then ties give the same.

    That is so of DISTINCT without ON, and of the greatest value.
    """
    below = choice["Plans"][0]
    return {*choice.get("Output", [])} <= {*map(_expression, below.get("Sort Key", []))}


def _is_sorted_by_key(connection: psycopg.Connection[Any], node: dict[str, Any]) -> bool:
    """Whether the node's rows are sorted by columns that include a key of each table below it.

    Rows that come sorted from another window may have a longer order than this one asks for.
    """
    below = node["Plans"][0]
    if below.get("Node Type") not in ("Sort", "Incremental Sort"):
        return False
    sorted_by = {*map(_expression, below.get("Sort Key", []))}
    for same in _equal_columns(below["Plans"][0]):
        # The server leaves out of the order what equals a part of it.
        sorted_by |= same if sorted_by & same else set()
    tables = _joined_tables(below["Plans"][0])
    return bool(tables) and all(_has_key_in(connection, table, sorted_by) for table in tables)


def _joined_tables(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The scans whose rows make the node's; none where they don't identify them."""
    if node.get("Node Type") == "Seq Scan":
        return [node]
    if node.get("Node Type") not in _JOINS:
        return []
    parts = [_joined_tables(part) for part in node["Plans"] if _is_input(part)]
    return [table for part in parts for table in part] if all(parts) else []


def _equal_columns(node: dict[str, Any]) -> Iterator[set[str]]:
    """The columns that inner joins at and below a node make equal."""
    if node.get("Node Type") not in _JOINS:
        return
    for part in filter(_is_input, node["Plans"]):
        yield from _equal_columns(part)
    condition = str(node.get("Hash Cond") or node.get("Merge Cond") or node.get("Join Filter"))
    if node.get("Join Type") == "Inner" and not _NOT_ALL.search(condition):
        yield from map(set, _EQUAL.findall(condition))


def _is_input(node: dict[str, Any]) -> bool:
    return node.get("Parent Relationship") in ("Outer", "Inner")


def _has_key_in(
    connection: psycopg.Connection[Any], table: dict[str, Any], sorted_by: set[str]
) -> bool:
    keys = connection.execute(_KEYS, [table["Schema"], table["Relation Name"]]).fetchall()
    alias: str = table["Alias"]
    quoted = alias.replace('"', '""')
    spelled = (f"{alias}.", f'"{quoted}".')
    columns_of = {e.removeprefix(name) for e in sorted_by for name in spelled if e.startswith(name)}
    return any(columns_of.issuperset(columns) for (columns,) in keys)


def _expression(sort_key: str) -> str:
    """The expression of a sort key, without its direction."""
    return _DIRECTION.sub("", sort_key)
