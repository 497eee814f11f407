"""Sequences of the target: moved past the keys that were written, regardless of their owners.

A sequence belongs to a column by its default, not by its owner: one that several tables share, or
that lies in another schema, is moved past the greatest value of all columns that it numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from transforms.model.program import LoadProgram

_NAME = re.compile(r'(?:"((?:[^"]|"")+)"|([^".]+))(?:\.|$)')


@dataclass(frozen=True)
class NumberedColumn:
    """A column that a sequence numbers; names as SQL writes them.

    ``is_plain``: its default is the sequence's next number and nothing else, and it is a number.
    """

    sequence: str
    table: str
    column: str
    is_ascending: bool
    lowest: int
    greatest: int
    is_number: bool
    is_plain: bool


_NUMBERED = """
WITH asked AS (
    SELECT DISTINCT s.oid FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS u(schema, name)
    JOIN pg_namespace n ON n.nspname = u.schema
    JOIN pg_class s ON s.relnamespace = n.oid AND s.relname = u.name AND s.relkind = 'S'),
used AS (
    SELECT asked.oid AS sequence, d.refobjid AS relid, d.refobjsubid AS attnum, true AS plain
    FROM asked JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = asked.oid
        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    WHERE NOT EXISTS (SELECT FROM pg_attrdef f WHERE f.adrelid = d.refobjid
                      AND f.adnum = d.refobjsubid)
    UNION
    SELECT asked.oid, f.adrelid, f.adnum, pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\\([^()]*\\)$'
    FROM asked JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = asked.oid
    JOIN pg_attrdef f ON f.oid = d.objid)
SELECT quote_ident(sn.nspname) || '.' || quote_ident(s.relname),
       quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(a.attname),
       q.seqincrement > 0, q.seqmin, q.seqmax, t.typcategory = 'N', plain
FROM used
JOIN pg_class s ON s.oid = used.sequence JOIN pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_class c ON c.oid = used.relid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = used.attnum AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE has_column_privilege(c.oid, a.attnum, 'SELECT')
  AND has_schema_privilege(n.oid, 'USAGE')
  AND NOT (c.relispartition AND EXISTS (
      SELECT FROM used AS root WHERE root.sequence = used.sequence
      AND root.relid = pg_partition_root(c.oid)))
ORDER BY 1, 2, 3
"""


def split_name(name: str) -> tuple[str, str]:
    """Schema and name of a qualified name as SQL writes it.

    Raises:
        ValueError: the name isn't qualified.
    """
    parts = [quoted.replace('""', '"') or plain for quoted, plain in _NAME.findall(name)]
    if len(parts) != 2:
        raise ValueError(f"{name} has no schema")
    return parts[0], parts[1]


def written_sequences(programs: Iterable[LoadProgram]) -> list[str]:
    """The sequences of all columns that the programs write."""
    columns = (
        program.table.column(name) for program in programs for name in program.target_columns()
    )
    names = (column.sequence for column in columns if column is not None)
    return list(dict.fromkeys(name for name in names if name is not None))


def numbered_columns(
    target: psycopg.Connection[Any], sequences: Sequence[str]
) -> list[NumberedColumn]:
    """All columns that the sequences number, of any table that the role may read.

    Args:
        target: a session to the target.
        sequences: their qualified names as SQL writes them.

    Returns:
        The columns, those of one sequence together.
    """
    if not sequences:
        return []
    schemas, names = zip(*map(split_name, sequences), strict=True)
    rows = target.execute(
        _NUMBERED.encode(), {"schemas": list(schemas), "names": list(names)}
    ).fetchall()
    return [NumberedColumn(*row) for row in rows]


def advance_sequences(
    target: psycopg.Connection[Any],
    sequences: Sequence[str],
    more: Sequence[NumberedColumn] = (),
) -> None:
    """Moves each sequence past all values that its columns have; none is moved back.

    Args:
        target: a session to the target.
        sequences: their qualified names as SQL writes them.
        more: columns that the sequences number as well, but not by their defaults alone.
    """
    by_sequence: dict[str, list[NumberedColumn]] = {}
    for column in [*numbered_columns(target, sequences), *more]:
        if column.is_number:
            by_sequence.setdefault(column.sequence, []).append(column)
    for name, columns in by_sequence.items():
        target.execute(_advance(name, columns))


def _advance(name: str, columns: Sequence[NumberedColumn]) -> sql.Composed:
    first = columns[0]
    # A value that the sequence itself can't reach is nothing that it could run into.
    furthest, bound, beyond = (
        ("max", sql.SQL("<= {}").format(first.greatest), ">")
        if first.is_ascending
        else ("min", sql.SQL(">= {}").format(first.lowest), "<")
    )
    tops = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {f}({column})::int8 AS top FROM {table} WHERE {column} {bound}").format(
            f=sql.SQL(furthest),
            column=sql.SQL(column.column),
            table=sql.SQL(column.table),
            bound=bound,
        )
        for column in columns
    )
    return sql.SQL(
        "SELECT setval({sequence}, m.top) FROM (SELECT {f}(top) AS top FROM ({tops}) AS t) m,"
        " {name} s WHERE m.top {beyond} s.last_value OR (m.top = s.last_value AND NOT s.is_called)"
    ).format(
        sequence=sql.Literal(name),
        f=sql.SQL(furthest),
        tops=tops,
        name=sql.SQL(name),
        beyond=sql.SQL(beyond),
    )
