"""What the target's catalogue says about the rows it will refuse, and how."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from schemas.violations import Violation
from transforms.target_rows.target_errors import TargetError


@dataclass(frozen=True)
class StoredColumn:
    """A column's type as DDL: ``declared`` with its modifiers, ``base`` without.

    For a domain ``base`` is what lies under it. ``collation`` is a quoted name, or None
    for the type's own. ``parsed_by_modifier`` marks an interval restricted to some
    fields, where the modifier decides how the input function reads a bare number.
    """

    name: str
    declared: str
    base: str
    collation: str | None
    parsed_by_modifier: bool


@dataclass(frozen=True)
class CheckConstraint:
    """A CHECK constraint; ``columns`` has None for a system column or the whole row."""

    name: str
    expression: str
    columns: tuple[str | None, ...]


@dataclass(frozen=True)
class TargetConstraints:
    """The constraints of one table as far as tracing a refused row needs them.

    ``keys`` are the plain unique keys (index name, columns). ``columns_of`` gives the
    columns of every named constraint and unique index. ``changed_by_trigger``: a BEFORE
    INSERT trigger may still change or drop a row, so nothing can be said of it before.
    """

    stored: tuple[StoredColumn, ...]
    checks: tuple[CheckConstraint, ...]
    keys: tuple[tuple[str, tuple[str, ...]], ...]
    columns_of: dict[str, tuple[str, ...]]
    changed_by_trigger: bool
    can_read: bool
    can_update: bool
    can_trace: bool

    def key_name(self, columns: Sequence[str]) -> str | None:
        """The unique index on exactly these columns, in any order."""
        return next((name for name, of in self.keys if set(of) == set(columns)), None)


_COLUMNS = """
WITH RECURSIVE layer AS (
    SELECT a.attnum, a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_attribute a WHERE a.attrelid = %(table)s AND a.attname = ANY(%(columns)s)
    UNION ALL
    SELECT layer.attnum, t.typbasetype, t.typtypmod
    FROM layer JOIN pg_type t ON t.oid = layer.type WHERE t.typtype = 'd')
SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(layer.type, -1),
       CASE WHEN k.oid IS NOT NULL
            THEN quote_ident(n.nspname) || '.' || quote_ident(k.collname) END,
       format_type(layer.type, layer.modifier) ~ '^interval [a-z]'
FROM layer
JOIN pg_type t ON t.oid = layer.type AND t.typtype <> 'd'
JOIN pg_attribute a ON a.attrelid = %(table)s AND a.attnum = layer.attnum
JOIN pg_type own ON own.oid = a.atttypid
LEFT JOIN pg_collation k ON k.oid = a.attcollation AND a.attcollation <> own.typcollation
LEFT JOIN pg_namespace n ON n.oid = k.collnamespace
"""

_CHECKS = """
SELECT c.conname, pg_get_expr(c.conbin, c.conrelid),
       (SELECT coalesce(array_agg(a.attname::text), '{}') FROM unnest(c.conkey) AS k(attnum)
        LEFT JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
                                AND a.attnum > 0)
FROM pg_constraint c
WHERE c.conrelid = %(table)s AND c.contype = 'c'
  AND pg_get_constraintdef(c.oid) NOT LIKE '%%NOT ENFORCED'
ORDER BY c.conname
"""

_NAMED = """
SELECT c.conname, array_agg(a.attname::text ORDER BY k.position)
FROM pg_constraint c
CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k(attnum, position)
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
WHERE c.conrelid = %(table)s AND c.contype IN ('c', 'f', 'x')
GROUP BY c.oid, c.conname
"""

_UNIQUE = """
SELECT x.relname, array_agg(a.attname::text ORDER BY k.position),
       i.indpred IS NULL AND i.indexprs IS NULL
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %(table)s AND i.indisunique AND k.position <= i.indnkeyatts
GROUP BY i.indexrelid, x.relname, i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indexrelid
"""

_FACTS = """
SELECT EXISTS (
           SELECT FROM pg_trigger t
           WHERE t.tgrelid IN (SELECT relid FROM pg_partition_tree(%(table)s)
                               UNION ALL SELECT %(table)s)
             AND t.tgtype & 7 = 7 AND t.tgenabled <> 'D'),
       has_table_privilege(%(table)s, 'SELECT'),
       has_table_privilege(%(table)s, 'UPDATE'),
       EXISTS (SELECT FROM pg_language
               WHERE lanname = 'plpgsql' AND has_language_privilege(oid, 'USAGE'))
"""
# tgtype & 7: a row trigger (1), before (2), on insert (4).


def read_constraints(
    connection: psycopg.Connection, table: Relation, columns: Sequence[str]
) -> TargetConstraints:
    """Read the constraints of ``table`` for inserts that give ``columns``.

    Raises psycopg.Error.
    """
    name = sql.Identifier(table.schema, table.name).as_string(connection)
    row = connection.execute("SELECT %s::regclass::oid", [name]).fetchone()
    assert row is not None
    parameters = {"table": row[0], "columns": list(columns)}
    stored = {
        row[0]: StoredColumn(*row) for row in connection.execute(_COLUMNS, parameters).fetchall()
    }
    if not stored.keys() >= set(columns):
        raise psycopg.errors.UndefinedColumn("the target has lost a column since it was planned")
    checks = connection.execute(_CHECKS, parameters).fetchall()
    unique = connection.execute(_UNIQUE, parameters).fetchall()
    named = connection.execute(_NAMED, parameters).fetchall()
    facts = connection.execute(_FACTS, parameters).fetchone()
    assert facts is not None
    return TargetConstraints(
        stored=tuple(stored[column] for column in columns),
        checks=tuple(CheckConstraint(name, text, tuple(of)) for name, text, of in checks),
        keys=tuple((index, tuple(of)) for index, of, plain in unique if plain),
        columns_of={name: tuple(of) for name, of in named}
        | {index: tuple(of) for index, of, plain in unique if plain},
        changed_by_trigger=facts[0],
        can_read=facts[1],
        can_update=facts[2],
        can_trace=facts[3],
    )


def violations_of_errors(
    connection: psycopg.Connection,
    table: Relation,
    columns: Sequence[str],
    constraints: TargetConstraints,
    errors: Sequence[TargetError],
) -> list[Violation]:
    """The violation that each error is, free of values of the row.

    ``columns`` are those that were written. Raises psycopg.Error.
    """
    columns_of = constraints.columns_of
    names = {*columns_of, *columns}
    words = {word for error in errors for word in error.words} - names
    if words:
        names |= names_among(connection, table, words)
    return [error.limit_to(names).violation(columns_of) for error in errors]


_NAMES = """
SELECT word FROM unnest(%(words)s::text[]) AS word
WHERE EXISTS (SELECT FROM pg_constraint WHERE conname = word)
   OR EXISTS (SELECT FROM pg_class WHERE relname = word)
   OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = %(table)s AND attname = word)
   OR EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
              WHERE t.tgrelid IN (SELECT relid FROM pg_partition_tree(%(table)s)
                                  UNION ALL SELECT %(table)s)
                AND position(quote_literal(word) IN p.prosrc) > 0)
"""


def names_among(connection: psycopg.Connection, table: Relation, words: Set[str]) -> set[str]:
    """Those ``words`` that are names in the catalogue, or stand in a trigger of ``table``.

    A trigger can put anything into the diagnostics of its error, values of the row too; what
    the row doesn't decide is known beforehand. Raises psycopg.Error.
    """
    name = sql.Identifier(table.schema, table.name).as_string(connection)
    row = connection.execute("SELECT %s::regclass::oid", [name]).fetchone()
    assert row is not None
    parameters = {"table": row[0], "words": sorted(words)}
    return {word for (word,) in connection.execute(_NAMES, parameters).fetchall()}
