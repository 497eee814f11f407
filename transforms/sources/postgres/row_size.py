"""How many bytes a row takes in an Arrow batch, as an expression the server evaluates."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from schemas.catalog import Column, Relation
from transforms.sources.postgres.large_values import text_length

_OFFSET = 4
"""Bytes of the offset that Arrow keeps for each value of variable length."""

_SAMPLED_PAGES = 50
_SAMPLED_ROWS = 500
_SAMPLED_BYTES = 10_000_000
"""Larger values aren't sampled: it would take long, and the server can't make text of some."""

_USUAL_RATIO = 2.0


def row_size(
    connection: psycopg.Connection, relation: Relation, columns: Sequence[str], pages: int | None
) -> sql.Composable:
    """An SQL expression (float8) for the bytes of one row of ``columns`` in a batch.

    Exact for native columns and bytea: ``octet_length`` knows the length of a text without fetching
    it from TOAST. Any other column is taken as its stored bytes (``pg_column_size``,
    which doesn't fetch either) times the ratio of text to stored bytes in a small sample.
    ``pages`` is the table's size where it can be sampled by page, else None: the sample
    is then whatever rows the server gives first. Raises psycopg.Error.
    """
    read = [c for c in map(relation.column, columns) if c is not None]
    textual = [c for c in read if c.type.is_textual]
    binary = [c for c in read if c.type.name == "bytea"]
    encoded = [c for c in read if not c.type.is_native and c not in binary]
    fixed = sum(c.type.arrow.bit_width / 8 for c in read if c.type.is_native and c not in textual)
    fixed += _OFFSET * (len(textual) + len(binary) + len(encoded))
    terms: list[sql.Composable] = [sql.SQL("{}::float8").format(fixed)]
    terms += [
        sql.SQL("coalesce(octet_length({}::text), 0)").format(sql.Identifier(c.name))
        for c in textual
    ]
    terms += [text_length(c) for c in binary]
    terms += [
        sql.SQL("coalesce(pg_column_size({}) * {}::float8, 0)").format(
            sql.Identifier(c.name), ratio
        )
        for c, ratio in zip(encoded, _ratios(connection, relation, encoded, pages), strict=True)
    ]
    return sql.SQL("({})").format(sql.SQL(" + ").join(terms))


def _ratios(
    connection: psycopg.Connection,
    relation: Relation,
    columns: Sequence[Column],
    pages: int | None,
) -> list[float]:
    if not columns:
        return []
    sample: sql.Composable = sql.SQL("")
    if pages:
        percent = min(100.0, 100.0 * _SAMPLED_PAGES / pages)
        sample = sql.SQL(" TABLESAMPLE SYSTEM ({}) REPEATABLE (1)").format(percent)
    names = [sql.Identifier(c.name) for c in columns]
    row = connection.execute(
        sql.SQL("SELECT {} FROM (SELECT {} FROM {}{} LIMIT {}) AS sample").format(
            sql.SQL(", ").join(
                sql.SQL(
                    "sum(octet_length({0}::text)) FILTER (WHERE pg_column_size({0}) < {1})"
                    "::float8 / nullif(sum(pg_column_size({0}))"
                    " FILTER (WHERE pg_column_size({0}) < {1}), 0)"
                ).format(name, sql.Literal(_SAMPLED_BYTES))
                for name in names
            ),
            sql.SQL(", ").join(names),
            relation.sql,
            sample,
            _SAMPLED_ROWS,
        )
    ).fetchone()
    assert row is not None
    return [_USUAL_RATIO if ratio is None else ratio for ratio in row]
