"""The nodes of a plan that the server explains, and the functions in their expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from schemas.catalog import Relation

_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_CALLED = re.compile(rf"({_NAME}(?:\.{_NAME})?)\(")
_TEXT = re.compile(r"E?'(?:[^']|'')*'")


def read_plan(connection: psycopg.Connection[Any], relation: Relation) -> Any:
    """How the server would read all columns of ``relation``; None where none can be read.

    Args:
        connection: a session to the source, inside a transaction.
        relation: a table, view or query of it.

    Returns:
        The plan, VERBOSE and as JSON.

    Raises:
        psycopg.Error: it can't be planned; the transaction goes on.
    """
    names = [c.name for c in relation.columns if c.readable]
    if not names:
        return None
    columns: sql.Composable = sql.SQL(", ").join(map(sql.Identifier, names))
    if len({*names}) < len(names):
        # Of columns with the same name none can be selected; compiling reports them.
        columns = sql.SQL("*")
    with connection.transaction():
        row = connection.execute(
            sql.SQL("EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) SELECT {} FROM {}").format(
                columns, relation.sql
            )
        ).fetchone()
    assert row is not None
    return row[0]


def nodes_of(plan: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a plan, or of a part of one."""
    waiting = [plan]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            yield part
            waiting += [value for value in part.values() if isinstance(value, (dict, list))]


def function_names(value: Any) -> Iterator[str]:
    """The names of functions in expressions of a plan."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            yield from _CALLED.findall(_TEXT.sub("''", text))
