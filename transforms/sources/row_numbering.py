"""Whether the rows of a plan are numbered in an order in which some are alike.

Then the server may number them otherwise whenever it is asked: it is free to choose among equals.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg

from schemas.catalog import Relation
from transforms.sources.plan_nodes import called, nodes_of, read_plan
from transforms.sources.view_texts import view_texts

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


def numbering_functions(
    connection: psycopg.Connection[Any], relation: Relation, plan: Any
) -> tuple[str, ...]:
    """The window functions of a plan that may give other values whenever its rows are read.

    Args:
        connection: a session to the source.
        relation: the view or query that is planned.
        plan: its plan, VERBOSE and as JSON.

    Returns:
        Their names, in order; none where the order of their rows leaves no two alike.
    """
    if not _windows(plan):
        return ()
    windows = _windows(_sorting_plan(connection, relation))
    texts = [*view_texts(connection, relation), relation.query or ""]
    by_rows = any(_ROWS_FRAME.search(text) for text in texts)
    found = {
        name
        for node in windows
        for name in _own_functions(node)
        if name in _PICKS_ROWS or (by_rows and name not in _COUNTS_PEERS)
        if not _is_sorted_by_key(connection, node)
    }
    return tuple(f"{name}() OVER" for name in sorted(found))


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
            yield from called(text)


def _is_sorted_by_key(connection: psycopg.Connection[Any], window: dict[str, Any]) -> bool:
    """Whether the node's rows are those of one table, sorted by columns that include a key of it.

    Rows that come sorted from another window may have a longer order than this one asks for.
    """
    below = window["Plans"][0]
    if below.get("Node Type") not in ("Sort", "Incremental Sort"):
        return False
    table = below["Plans"][0]
    if table.get("Node Type") != "Seq Scan":
        return False
    sorted_by = {_column(key, table["Alias"]) for key in below.get("Sort Key", [])}
    keys = connection.execute(_KEYS, [table["Schema"], table["Relation Name"]]).fetchall()
    return any(sorted_by.issuperset(columns) for (columns,) in keys)


def _column(key: str, alias: str) -> str:
    """The column that a sort key is, without what says which way."""
    bare = re.sub(r"( DESC| ASC)?( NULLS (FIRST|LAST))?$", "", key)
    return bare.removeprefix(f"{alias}.")
