"""The tables behind a view, a query or a partitioned table, and the state that they are in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from transforms.sources.postgres.plan_nodes import nodes_of, read_plan
from transforms.sources.postgres.view_texts import view_texts

_TABLES = """
SELECT format('%%I.%%I', s.schema, s.name), n.nspname, c.relname,
       pg_relation_filenode(c.oid)::int8,
       c.relkind IN ('r', 'm') AND coalesce(a.amname = 'heap', false)
       AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
       AND NOT row_security_active(c.oid)
FROM unnest(%s::text[], %s::text[]) AS s(schema, name)
JOIN pg_namespace n ON n.nspname = s.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.name
LEFT JOIN pg_am a ON a.oid = c.relam
ORDER BY 1
"""


def base_state(source: psycopg.Connection[Any], relation: Relation) -> dict[str, Any]:
    """The state of what a relation without storage of its own is read from.

    Args:
        source: a session to the source, inside a transaction.
        relation: a relation of it.

    Returns:
        ``bases``: of each table that the server would read its rows and its file, None where the
        role may not read it. ``seen``: the first transaction that is not in sight. ``texts``: a
        digest of the views that it is made of. ``content``: where a table can't be looked at, a
        digest of all rows. What functions read can't be seen.

    Raises:
        psycopg.Error: the rows can't be read.
    """
    try:
        plan = read_plan(source, relation)
    except psycopg.errors.InsufficientPrivilege:
        plan = None
    scanned = sorted(
        {
            (node.get("Schema", ""), node["Relation Name"])
            for node in nodes_of(plan)
            if "Relation Name" in node and node["Node Type"] != "Foreign Scan"
        }
    )
    parts = [[schema for schema, _ in scanned], [name for _, name in scanned]]
    bases: dict[str, Any] = {}
    for qualified, schema, name, file, can_be_seen in source.execute(_TABLES, parts).fetchall():
        bases[qualified] = [_count(source, schema, name), file] if can_be_seen else None
    row = source.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
    assert row is not None
    texts = "\n".join(view_texts(source, relation))
    hidden = None in bases.values() and relation.access.is_repeatable
    return {
        "bases": bases,
        "seen": row[0],
        "texts": hashlib.sha256(texts.encode()).hexdigest(),
        "content": _content(source, relation) if hidden else None,
    }


def base_difference(
    source: psycopg.Connection[Any],
    relation: Relation,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
) -> str | None:
    """What isn't as ``base_state`` found it, in words; None for nothing."""
    if now["texts"] != before.get("texts", now["texts"]):
        return f"{relation}, or a view that it reads, is defined otherwise"
    if {*now["bases"]} != {*before["bases"]}:
        return f"{relation} reads other tables than it did"
    for name, stood in before["bases"].items():
        stands = now["bases"][name]
        if stood is None and stands is None:
            continue
        if stood is None or stands is None:
            return f"the rights on {name} have changed, which {relation} reads"
        if stands[0] != stood[0]:
            return f"{name}, which {relation} reads, had {stood[0]} rows and has {stands[0]}"
        if stands[1] != stood[1]:
            return f"{name}, which {relation} reads, was rewritten"
        if has_rows_since(source, _only(*_split_name(source, name)), before["seen"]):
            return f"rows of {name}, which {relation} reads, were inserted or updated"
    if now["content"] != before["content"]:
        return f"{relation} gives other rows than it did"
    return None


def has_rows_since(source: psycopg.Connection[Any], table: sql.Composable, horizon: str) -> bool:
    """Whether a table has rows of transactions that weren't in sight then.

    Args:
        source: a session to the source.
        table: the table as it stands in SQL.
        horizon: the first transaction that was not in sight.
    """
    row = source.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM {} WHERE age(xmin) <= age((%s::text::xid8)::xid))"
        ).format(table),
        [horizon],
    ).fetchone()
    return row is not None and bool(row[0])


def _split_name(source: psycopg.Connection[Any], name: str) -> list[str]:
    row = source.execute("SELECT parse_ident(%s)", [name]).fetchone()
    assert row is not None
    return list(row[0])


def _only(schema: str, name: str) -> sql.Composable:
    """A table without those that inherit from it, which the plan names by themselves."""
    return sql.SQL("ONLY {}").format(sql.Identifier(schema, name))


def _count(source: psycopg.Connection[Any], schema: str, name: str) -> int:
    row = source.execute(sql.SQL("SELECT count(*) FROM {}").format(_only(schema, name))).fetchone()
    assert row is not None
    return int(row[0])


def _content(source: psycopg.Connection[Any], relation: Relation) -> str:
    """A digest of all rows, in whatever order they come."""
    columns = sql.SQL(", ").join(sql.Identifier(c.name) for c in relation.columns if c.readable)
    row = source.execute(
        sql.SQL("SELECT coalesce(sum(hashtextextended(ROW({})::text, 0)), 0)::text FROM {}").format(
            columns, relation.sql
        )
    ).fetchone()
    assert row is not None
    return str(row[0])
