"""Keys that the target takes as equal although their texts differ, by the target's own hash.

Case under a nondeterministic collation or of citext, ``1 day`` and ``24 hours``, ``1.0`` and
``1.00`` within jsonb, arrays and ranges: only the server decides exactly which of these are one
key. It has a hash for most types that can be a key, in which equal values agree; two of 64 bits
each stand for the key where duplicates are searched for.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.catalog import Column
from transforms.model.program import LoadProgram
from transforms.references.check import key_texts

HASH = "hash."
"""Precedes the name of a key's column in that of its hashes."""

_ALIKE_AS_TEXT = frozenset(
    (
        "int2", "int4", "int8", "numeric", "float4", "float8", "bool", "text", "varchar", "name",
        "bpchar", "uuid", "date", "timestamp", "timestamptz", "bytea", "bit", "varbit",
    )
)  # fmt: skip
"""Types in which keys are equal exactly if ``comparable_key`` says so."""


def hashed_columns(program: LoadProgram) -> list[Column]:
    """The columns of a load's key whose equality only the target knows."""
    columns = [program.table.column(name) for name in program.key]
    return [c for c in columns if c is not None and not is_alike_as_text(c)]


def is_alike_as_text(column: Column) -> bool:
    """Whether values of a key's column are equal exactly if ``comparable_key`` says so."""
    return column.type.name in _ALIKE_AS_TEXT and column.collation_deterministic


def add_key_hashes(
    rows: pa.RecordBatch, program: LoadProgram, connection: psycopg.Connection[Any]
) -> pa.RecordBatch:
    """``rows`` with a column of hashes for each column of the key that needs them.

    A value that the target refuses, or whose type has no hash, is its text instead.

    Raises:
        psycopg.Error: Where the server can't be asked.
    """
    types = program.target_columns()
    for column in hashed_columns(program):
        name = f"out.{column.name}"
        if name not in rows.schema.names or not len(rows):
            continue
        texts = key_texts(rows.column(name), types[column.name])
        unique = texts.unique().drop_null().to_pylist()
        cast = _cast(connection, program, column)
        hashes = dict(zip(unique, _hash(connection, cast, unique), strict=True))
        values = [None if text is None else hashes[text] for text in texts.to_pylist()]
        rows = rows.append_column(HASH + column.name, pa.array(values, pa.string()))
    return rows


def _cast(
    connection: psycopg.Connection[Any], program: LoadProgram, column: Column
) -> sql.Composable:
    """SQL that gives ``u.v`` the type and the collation of a column."""
    table = program.table
    row = connection.execute(
        "SELECT format_type(a.atttypid, a.atttypmod), n.nspname, k.collname"
        " FROM pg_attribute a LEFT JOIN pg_collation k ON k.oid = a.attcollation"
        " LEFT JOIN pg_namespace n ON n.oid = k.collnamespace"
        " WHERE a.attrelid = to_regclass(%s) AND a.attname = %s",
        [sql.Identifier(table.schema, table.name).as_string(), column.name],
    ).fetchone()
    if row is None:
        return sql.SQL("u.v")
    kind, schema, collation = row
    cast = sql.SQL("CAST(u.v AS {})").format(sql.SQL(kind))
    if collation is None:
        return cast
    return sql.SQL("({} COLLATE {})").format(cast, sql.Identifier(schema, collation))


def _hash(connection: psycopg.Connection[Any], cast: sql.Composable, texts: list[str]) -> list[str]:
    """The hashes of distinct values; of a value that the server refuses, its text."""
    if not texts:
        return []
    query = sql.SQL(
        "SELECT concat('hash ', hash_record_extended(ROW({cast}), 0), ' ',"
        " hash_record_extended(ROW({cast}), 1))"
        " FROM unnest($1::text[]) WITH ORDINALITY AS u(v, place) ORDER BY place"
    ).format(cast=cast)
    try:
        # Names of types and collations may have percent signs.
        with connection.transaction(), psycopg.RawCursor(connection) as cursor:
            return [value for (value,) in cursor.execute(query, [texts]).fetchall()]
    except (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedObject):
        return [f"text {text}" for text in texts]
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.RaiseException):
        # The last is what the function of a domain's CHECK raises.
        if len(texts) == 1:
            return [f"text {texts[0]}"]
        half = len(texts) // 2
        return [
            *_hash(connection, cast, texts[:half]),
            *_hash(connection, cast, texts[half:]),
        ]
