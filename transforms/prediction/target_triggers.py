"""Triggers of the target on insert, and of which rows are refused by them for certain.

A trigger can do anything, and nothing is written to find out. But a guard, whose function does
nothing but raise an error, refuses exactly the rows that meet its WHEN.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from schemas.catalog import Relation

_TRIGGERS = """
SELECT t.tgname, pg_get_triggerdef(t.oid), CASE l.lanname WHEN 'plpgsql' THEN p.prosrc END,
       t.tgtype & 3 = 3, t.tgrelid = %(table)s AND t.tgtype & 1 = 1
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
WHERE t.tgrelid IN (SELECT relid FROM pg_partition_tree(%(table)s) UNION ALL SELECT %(table)s)
  AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgtype & 4 = 4 AND t.tgenabled IN ('O', 'A')
ORDER BY t.tgname
"""
# tgtype: a row trigger (1), before (2), on insert (4).

_STRING = r"'(?:[^']|'')*'"
_GUARD = re.compile(
    rf"\s*BEGIN\s+RAISE\s+(?:EXCEPTION\s+)?(?P<said>{_STRING}(?:[^;']|{_STRING})*);"
    r"\s*(?:RETURN\s+\w+\s*;\s*)?END\s*;?\s*",
    re.IGNORECASE,
)
_STATE = re.compile(r"ERRCODE\s*(?::?=)\s*'([0-9A-Z]{5})'", re.IGNORECASE)
_COMMENT = re.compile(rf"({_STRING})|--[^\n]*|/\*.*?\*/", re.DOTALL)
_WHEN = re.compile(r" WHEN \((?P<condition>.*)\) EXECUTE (?:FUNCTION|PROCEDURE) ", re.DOTALL)
_COLUMN = re.compile(r'\bnew\.(?:"((?:[^"]|"")+)"|(\w+|\*))', re.IGNORECASE)

_RAISED = "P0001"
"""The SQLSTATE of an error for which a function names none."""


@dataclass(frozen=True)
class Trigger:
    """A trigger on insert; ``refuses`` is SQL on the row ``new``, None if unpredictable.

    ``reads`` are the columns of that, ``sqlstate`` is that of its error, ``before`` whether it
    comes before constraints.
    """

    name: str
    refuses: str | None
    reads: frozenset[str]
    sqlstate: str
    before: bool


def read_triggers(
    connection: psycopg.Connection[Any], table: Relation, columns: Collection[str]
) -> list[Trigger]:
    """Reads the triggers that rows meet which give ``columns``.

    Raises:
        psycopg.Error: Where the server can't be asked.
    """
    name = sql.Identifier(table.schema, table.name).as_string(connection)
    row = connection.execute("SELECT %s::regclass::oid", [name]).fetchone()
    assert row is not None
    rows = connection.execute(_TRIGGERS, {"table": row[0]}).fetchall()
    return [
        _trigger(name, definition, body, before, certain, columns)
        for name, definition, body, before, certain in rows
    ]


def _trigger(
    name: str,
    definition: str,
    body: str | None,
    before: bool,
    certain: bool,
    columns: Collection[str],
) -> Trigger:
    raised = None
    if body is not None and certain:
        raised = _GUARD.fullmatch(_COMMENT.sub(lambda match: match[1] or " ", body))
    if raised is None:
        return Trigger(name, None, frozenset(), _RAISED, before)
    state = _STATE.search(raised["said"])
    if state is None and "errcode" in raised["said"].lower():
        return Trigger(name, None, frozenset(), _RAISED, before)
    when = _WHEN.search(definition)
    condition = when["condition"] if when else "true"
    reads = frozenset(
        quoted.replace('""', '"') or plain for quoted, plain in _COLUMN.findall(condition)
    )
    refuses = condition if reads <= {*columns} else None
    return Trigger(name, refuses, reads, state[1] if state else _RAISED, before)
