"""Asking the target which parents reached it: all keys at once, or those of one batch.

Reading all keys of a parent pays once per process and costs memory; beyond the bound a
batch asks for its own distinct values, in one query. Both compare as the server does.

For 100,000 children of two million parents, on the same machine: 150 ms (integers) to
210 ms (text) for existence and 500 ms with four columns of each parent where all are
distinct; 35 and 100 ms where five children share one. The values go out in order, which
halves the server's part. The planner's own choice, a hash join over the whole parent,
took 280 to 590 ms in the server alone and grows with the parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.column_types import INTEGERS, NATIVE, TEXTUAL, ColumnType
from transforms.keys.parent_question import Question
from transforms.postgres.connections import add_network_limits
from transforms.postgres.row_security import WHOLE_TABLES
from transforms.postgres.session_settings import session_setup
from transforms.postgres.statement_log import log_statement

MEMORY_BOUND = 160 * 2**20
"""Bytes that all indexes of a process may keep: twenty million integer keys, or six million
of 16 characters. Reading and building that many takes 500 MB for a moment (measured), which
beside the 400 MB of a working process leaves half of a usual limit of 2 GB free."""

FOUND = "_found"
"""The column that says whether the parent is there; NULL where a part of its key is."""

KeyKind = Literal["number", "text", "generated"]

_ALIKE = (frozenset(INTEGERS), TEXTUAL, {"float4", "float8"}) + tuple(
    {name} for name in ("bool", "date", "timestamp", "timestamptz", "numeric", "uuid")
)


@dataclass(frozen=True)
class Bound:
    """How many bytes the indexes of a process may keep; beyond it batches ask the target."""

    nbytes: int = MEMORY_BOUND

    def fits(self, rows: int, kind: KeyKind, width: int = 16, held: int = 0) -> bool:
        """Whether an index of about ``rows`` keys fits beside ``held`` bytes of others.

        A ``number`` takes 8 bytes; ``text`` its average ``width`` with 12 for hash and
        offset; a ``generated`` key both of its texts so, with one hash.
        """
        size = {"number": 8, "text": 12 + width, "generated": 16 + 2 * width}[kind]
        return rows * size + held <= self.nbytes


def compares_in_memory(parent: Column, child: ColumnType) -> bool:
    """Whether equality of the values that ``comparable`` gives is the server's equality.

    Where it isn't (citext, a collation that ignores case, numeric against integer,
    intervals, types we know nothing about) only the target can be asked.
    """
    if not parent.collation_deterministic or "citext" in (parent.type.name, child.name):
        return False
    if parent.type.name == "numeric" and child.is_integer:
        return True
    return any({parent.type.name, child.name} <= alike for alike in _ALIKE)


def comparable(values: pa.Array, parent: ColumnType, child: ColumnType) -> pa.Array:
    """The values of a child column in the form in which they are compared with the parent's.

    A numeric is text, in which 1.50 and 1.5 differ; bpchar pays no regard to trailing
    blanks. All other values are given back as they are.
    """
    if "bpchar" in (parent.name, child.name) and pa.types.is_string(values.type):
        return pc.utf8_rtrim(values, " ")
    if parent.name == "numeric":
        return _plain_decimals(values.cast(pa.string()))
    return values


def read_keys(uri: str, relation: Relation, column: str) -> pa.ChunkedArray:
    """All values of a column of the target that aren't NULL, as ``comparable`` gives them.

    In the Arrow type of the column; four million a second on the same machine. Raises
    ValueError for an unknown column, adbc_driver_manager.Error.
    """
    key = _column(relation, column)
    query = sql.SQL("SELECT {} AS key FROM {} WHERE {} IS NOT NULL").format(
        _lossless_sql(key), relation.sql, sql.Identifier(key.name)
    )
    keys = _read(uri, query).column(0).cast(key.type.arrow)
    return pa.chunked_array([comparable(c, key.type, key.type) for c in keys.chunks], keys.type)


def read_key_pairs(uri: str, query: sql.Composable) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Read source keys and, row by row, their target keys.

    Args:
        uri: The target.
        query: Gives both, as text.

    Raises:
        adbc_driver_manager.Error: The server can't be reached.
    """
    rows = _read(uri, query)
    return rows.column(0), rows.column(1)


def ask_target(
    connection: psycopg.Connection[Any], relation: Relation, column: str, values: pa.Array
) -> pa.BooleanArray:
    """For each value whether ``column`` of the target holds it; NULL where the value is.

    Raises ValueError for an unknown column, TypeError for values that have no form on the
    server, psycopg.Error (DataError where text isn't of the column's type).
    """
    key = _column(relation, column)
    question = Question.of([values], [key.type])
    rows = question.ask(
        connection,
        "SELECT {ordinal} FROM {asked} WHERE EXISTS (SELECT FROM {parent})",
        parent=question.parent(relation, [key]),
    )
    return question.matches(rows)


def fetch_parent_columns(
    connection: psycopg.Connection[Any],
    relation: Relation,
    key_columns: Sequence[str],
    values: Sequence[pa.Array],
    take: Sequence[str],
) -> pa.Table:
    """The columns ``take`` of each child row's parent, and ``FOUND``: whether it is there.

    ``values`` are the child's columns in the order of ``key_columns``, which are a unique
    key of the parent. One row for each child row, in order, NULL where the parent is
    absent; the types are those of ``ColumnType.arrow``. Raises ValueError where several
    parents share a key, else as ``ask_target`` does.
    """
    keys = [_column(relation, name) for name in key_columns]
    taken = [_column(relation, name) for name in take]
    question = Question.of(values, [key.type for key in keys])
    rows = question.ask(
        connection,
        "SELECT {ordinal}, _parent.* FROM {asked}"
        " CROSS JOIN LATERAL (SELECT {taken} FROM {parent}) AS _parent",
        taken=sql.SQL(", ").join(map(_lossless_sql, taken)),
        parent=question.parent(relation, keys),
    )
    if len({row[0] for row in rows}) < len(rows):
        raise ValueError(f"several rows of {relation} share a key ({', '.join(key_columns)})")
    columns = [
        question.answers(rows, pa.array([row[i] for row in rows], _SENT_AS.get(kind, kind)))
        for i, kind in enumerate((column.type.arrow for column in taken), 1)
    ]
    columns = [sent.cast(column.type.arrow) for sent, column in zip(columns, taken, strict=True)]
    return pa.table([*columns, question.matches(rows)], names=[*take, FOUND])


_FROM_DATE = (
    "CASE {0} WHEN 'infinity' THEN 2147483647 WHEN '-infinity' THEN -2147483647"
    " ELSE {0} - date 'epoch' END"
)
_FROM_TIMESTAMP = (
    "CASE {0} WHEN 'infinity' THEN 9223372036854775807"
    " WHEN '-infinity' THEN -9223372036854775807"
    " ELSE ({0}::date - date 'epoch') * 86400000000"
    " + (extract(epoch FROM {0}::time) * 1000000)::int8 END"
)


def _lossless_sql(column: Column) -> sql.Composable:
    """The SQL that gives a column's value as the drivers take it without a loss."""
    name = sql.Identifier(column.name)
    if column.type.name == "date":
        # Both drivers know no infinite dates, psycopg none before Christ either.
        return sql.SQL(_FROM_DATE).format(name)
    if column.type.name in ("timestamp", "timestamptz"):
        zone = " AT TIME ZONE 'UTC'" if column.type.name == "timestamptz" else ""
        return sql.SQL(_FROM_TIMESTAMP).format(sql.SQL("({}{})").format(name, sql.SQL(zone)))
    if column.type.is_native and not column.type.is_textual:
        return name
    return sql.SQL("{}::text").format(name)


_SENT_AS = {
    NATIVE["date"]: pa.int32(),
    NATIVE["timestamp"]: pa.int64(),
    NATIVE["timestamptz"]: pa.int64(),
}


def _column(relation: Relation, name: str) -> Column:
    column = relation.column(name)
    if column is None:
        raise ValueError(f"{relation} has no column {name}")
    return column


def _read(uri: str, query: sql.Composable) -> pa.Table:
    with adbc.connect(add_network_limits(uri)) as connection, connection.cursor() as cursor:
        cursor.execute(session_setup(WHOLE_TABLES))
        cursor.fetchall()
        with log_statement(query.as_string, "the target"):
            cursor.execute(query.as_string())
            return cursor.fetch_arrow_table()


def _plain_decimals(numbers: pa.Array) -> pa.Array:
    """Decimal text without sign, zeros and point that say nothing; 1e3 written out."""
    exponents = pc.match_substring(numbers, "e", ignore_case=True).fill_null(False)
    if exponents.true_count:
        written = [f"{Decimal(text):f}" for text in numbers.filter(exponents).to_pylist()]
        numbers = pc.replace_with_mask(numbers, exponents, pa.array(written, pa.string()))
    for pattern, replacement in (
        (r"^\+", ""),
        (r"(\.[0-9]*?)0+$", r"\1"),
        (r"\.$", ""),
        (r"^(-?)0+([0-9])", r"\1\2"),
        (r"^(-?)\.", r"\10."),
        (r"^-0$", "0"),
    ):
        numbers = pc.replace_substring_regex(numbers, pattern, replacement)
    return numbers
