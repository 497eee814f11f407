"""The SQL that moves staged rows into the target."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.specification.policies import WriteMode
from transforms.target_rows.scratch_tables import ScratchTables
from transforms.target_rows.stage_tables import comma, same_key, staged_rows

ALL = sql.SQL("true")

KEYS_CHANGED = -1
"""Stands instead of the number of rows written where one of them got another key."""


def insert(
    scratch: ScratchTables,
    table: Relation,
    columns: Sequence[Column],
    key: Sequence[str],
    mode: WriteMode,
    condition: sql.Composable,
    compare_keys: bool = False,
    if_not_there: bool = False,
) -> sql.Composed:
    """Write the staged rows that a condition picks.

    Args:
        scratch: the tables of the batch.
        table: the target.
        columns: the columns that are written.
        key: names of those that an upsert goes by.
        mode: whether existing rows are updated.
        condition: SQL on the staged rows.
        compare_keys: whether rows that the target stores under another key are noticed.
        if_not_there: whether rows that a unique key of the target forbids are left out.

    Returns:
        The statement. It returns one row: rows written (``KEYS_CHANGED`` with ``compare_keys``, if
        one has another key), new ones among them, and rows that ``condition`` picks.
    """
    names = comma([sql.Identifier(c.name) for c in columns])
    rows = staged_rows(scratch, columns)
    conflict, fresh = sql.Composed([]), sql.Composed([ALL])
    if mode is WriteMode.UPSERT:
        conflict, fresh = _update(columns, key), _is_new(table, key)
    if if_not_there:
        conflict = sql.Composed([sql.SQL(" ON CONFLICT DO NOTHING")])
    returned, count = sql.Composed([]), sql.Composed([sql.SQL("count(*)")])
    if compare_keys:
        returned, count = _compare_keys(rows, key, condition)
    return sql.SQL(
        "WITH wrote AS (INSERT INTO {} AS target ({}) OVERRIDING SYSTEM VALUE"
        " SELECT {} FROM {} WHERE {}{} RETURNING {} AS fresh{})"
        " SELECT {}, count(*) FILTER (WHERE fresh), (SELECT count(*) FROM {} WHERE {})"
        " FROM wrote"
    ).format(
        *(table.sql, names, names, rows, condition, conflict, fresh, returned),
        *(count, scratch.name("rows"), condition),
    )


def _update(columns: Sequence[Column], key: Sequence[str]) -> sql.Composed:
    settable = [c.name for c in columns if c.identity != "always"]
    updated = [c for c in settable if c not in key] or settable
    return sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(
        comma([sql.Identifier(k) for k in key]),
        comma([sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(c)) for c in updated]),
    )


def _is_new(table: Relation, key: Sequence[str]) -> sql.Composed:
    """Whether an upsert has inserted a row."""
    if table.kind == "p":
        # A partitioned table has no xmax to return, but the statement's snapshot
        # still shows the table as it was before.
        return sql.SQL("NOT EXISTS (SELECT FROM {} AS before WHERE {})").format(
            table.sql, same_key("before", "target", key)
        )
    return sql.Composed([sql.SQL("target.xmax = 0")])


def _compare_keys(
    rows: sql.Composable, key: Sequence[str], condition: sql.Composable
) -> tuple[sql.Composed, sql.Composed]:
    """Columns that return the keys as they are stored, and the count that depends on them."""
    names = [sql.Identifier(f"key {number}") for number in range(len(key))]
    returned = sql.Composed(
        [
            sql.SQL(", {} AS {}").format(sql.Identifier("target", k), name)
            for k, name in zip(key, names, strict=True)
        ]
    )
    count = sql.SQL(
        "CASE WHEN EXISTS (SELECT {} FROM wrote EXCEPT ALL SELECT {} FROM {} WHERE {})"
        " THEN {} ELSE count(*) END"
    ).format(
        comma(names),
        comma([sql.Identifier(k) for k in key]),
        rows,
        condition,
        sql.Literal(KEYS_CHANGED),
    )
    return returned, count


def has_lost_keys(
    scratch: ScratchTables,
    table: Relation,
    columns: Sequence[Column],
    key: Sequence[str],
    condition: sql.Composable,
) -> sql.Composed:
    """Whether the key of a staged row that ``condition`` picks isn't in the target."""
    whole = sql.SQL(" AND ").join(
        [sql.SQL("{} IS NOT NULL").format(sql.Identifier(k)) for k in key]
    )
    return sql.SQL(
        "EXISTS (SELECT FROM {} WHERE {} AND {} AND NOT EXISTS (SELECT FROM {} AS target WHERE {}))"
    ).format(
        staged_rows(scratch, columns),
        condition,
        whole,
        table.sql,
        same_key("target", "staged", key),
    )
