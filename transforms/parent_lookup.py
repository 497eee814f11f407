"""Asking the target which parents reached it: all keys at once, or those of one batch.

Reading all keys of a parent pays once per process and costs memory; beyond the bound a
batch asks for its own distinct values, in one query. Both compare as the server does.

Asked for 100,000 distinct values, two million parents, on the same machine: 80 to 140 ms
for their existence, 250 to 310 ms with four columns of each parent (the values go out in
order, which is what keeps the index scan local: in random order it is twice that). The
planner's own choice, a hash join over the whole parent, took 280 to 590 ms and grows
with the parent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import adbc_driver_postgresql.dbapi as adbc
import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.rows import tuple_row

from schemas.catalog import Column, Relation
from schemas.column_types import INTEGERS, NATIVE, TEXT, TEXTUAL, ColumnType
from transforms.session_settings import SESSION_SETTINGS

MEMORY_BOUND = 160 * 2**20
"""Bytes that all indexes of a process may keep: twenty million integer keys or five
million of text. Building the last of them takes as much again beside what the driver
read, and a worker process is to stay under 700 MB with its batches, Beam and DuckDB."""

FOUND = "_found"
"""The column that says whether the parent is there; NULL where a part of its key is."""

Kind = Literal["number", "text", "generated"]
By = Literal["target_key", "source_key"]


@dataclass(frozen=True)
class Bound:
    """How many bytes the indexes of a process may keep; beyond it batches ask the target."""

    nbytes: int = MEMORY_BOUND

    def fits(self, rows: int, kind: Kind, width: int = 16, held: int = 0) -> bool:
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


_ALIKE = (frozenset(INTEGERS), TEXTUAL, {"float4", "float8"}) + tuple(
    {name} for name in ("bool", "date", "timestamp", "timestamptz", "numeric", "uuid")
)


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

    In the Arrow type of the column. 1.8 million integers a second on the same machine.
    Raises adbc_driver_manager.Error.
    """
    key = _column(relation, column)
    query = sql.SQL("SELECT {} AS key FROM {} WHERE {} IS NOT NULL").format(
        _sent(key), relation.sql, sql.Identifier(key.name)
    )
    keys = _read(uri, query).column(0).cast(key.type.arrow)
    return pa.chunked_array([comparable(c, key.type, key.type) for c in keys.chunks], keys.type)


def read_generated_keys(
    uri: str, keys_table: str, job: str, loads: Sequence[str]
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The source keys of ``loads`` and, row by row, their target keys, both as text.

    ``keys_table`` is the qualified SQL name of a table with the columns job_id, load,
    source_key, target_key. Raises adbc_driver_manager.Error.
    """
    query = sql.SQL(
        "SELECT source_key::text, target_key::text FROM {} WHERE job_id = {}"
        " AND load = ANY({}::text[])"
    ).format(sql.SQL(keys_table), job, list(loads))
    rows = _read(uri, query)
    return rows.column(0), rows.column(1)


def ask_target(
    connection: psycopg.Connection[Any], relation: Relation, column: str, values: pa.Array
) -> pa.BooleanArray:
    """For each value whether ``column`` of the target holds it; NULL where the value is.

    Raises TypeError for values that have no form on the server, psycopg.Error, of which
    DataError where text isn't of the column's type.
    """
    key = _column(relation, column)
    question = _Question.of([values], [key.type])
    rows = question.put(
        connection,
        "SELECT {ordinal} FROM {asked} WHERE EXISTS (SELECT FROM {parent})",
        parent=question.parent(relation, [key]),
    )
    return question.found(rows)


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
    question = _Question.of(values, [key.type for key in keys])
    rows = question.put(
        connection,
        "SELECT {ordinal}, _parent.* FROM {asked}"
        " CROSS JOIN LATERAL (SELECT {taken} FROM {parent}) AS _parent",
        taken=sql.SQL(", ").join(map(_sent, taken)),
        parent=question.parent(relation, keys),
    )
    if len({row[0] for row in rows}) < len(rows):
        raise ValueError(f"several rows of {relation} share a key ({', '.join(key_columns)})")
    columns = [
        question.spread(rows, pa.array([row[i] for row in rows], _SENT_AS.get(kind, kind)))
        for i, kind in enumerate((column.type.arrow for column in taken), 1)
    ]
    columns = [sent.cast(column.type.arrow) for sent, column in zip(columns, taken, strict=True)]
    return pa.table([*columns, question.found(rows)], names=[*take, FOUND])


def ask_generated_keys(
    connection: psycopg.Connection[Any],
    keys_table: str,
    job: str,
    loads: Sequence[str],
    values: pa.Array,
) -> tuple[pa.Array, pa.BooleanArray]:
    """The target key (text) of each source key (text), and whether it has several.

    The key is NULL where the value is NULL, absent or has several. ``keys_table`` as for
    ``read_generated_keys``; it needs an index on job_id, load and source_key. Raises
    psycopg.Error.
    """
    question = _Question.of([values], [TEXT])
    rows = question.put(
        connection,
        "SELECT {ordinal}, _key.low::text, _key.low <> _key.high FROM {asked}"
        " CROSS JOIN LATERAL (SELECT min(target_key) AS low, max(target_key) AS high"
        " FROM {keys} WHERE job_id = $2 AND load = ANY($3) AND source_key = _asked.k0) AS _key"
        " WHERE _key.low IS NOT NULL",
        [job, list(loads)],
        keys=sql.SQL(keys_table),
    )
    target = [None if several else key for _, key, several in rows]
    several = [row for row in rows if row[2]]
    return question.spread(rows, pa.array(target, pa.string())), question.found(several)


def rejected_parents(
    connection: psycopg.Connection[Any],
    errors_table: str,
    job: str,
    target_table: str,
    by: By,
    values: pa.Array,
) -> pa.Array:
    """The id (as text) of the violation that kept each parent out of the target, else NULL.

    ``values`` (text) are what the parent's row has in the column ``by`` of the errors
    table, whose other columns here are id, job_id, target_table and warning. Of several
    violations it is the one with the smallest id; warnings kept nothing out. Raises
    psycopg.Error.
    """
    question = _Question.of([values], [TEXT])
    rows = question.put(
        connection,
        "SELECT DISTINCT ON (_asked.ordinal) {ordinal}, e.id::text"
        " FROM {asked} JOIN {errors} AS e ON e.{by} = _asked.k0"
        " WHERE e.job_id = $2 AND e.target_table = $3 AND NOT e.warning"
        " ORDER BY _asked.ordinal, e.id",
        [job, target_table],
        errors=sql.SQL(errors_table),
        by=sql.Identifier(by),
    )
    return question.spread(rows, pa.array([row[1] for row in rows], pa.string()))


def skipped_parents(
    connection: psycopg.Connection[Any],
    skipped_table: str,
    job: str,
    loads: Sequence[str],
    by: By,
    values: pa.Array,
) -> pa.BooleanArray:
    """For each value (text) whether a parent with it was skipped; NULL where the value is.

    The table has the columns job_id, load, source_key and target_key; ``by`` says which
    of the keys the values are. Raises psycopg.Error.
    """
    question = _Question.of([values], [TEXT])
    rows = question.put(
        connection,
        "SELECT {ordinal} FROM {asked} WHERE EXISTS (SELECT FROM {skipped} AS s"
        " WHERE s.job_id = $2 AND s.load = ANY($3) AND s.{by} = _asked.k0)",
        [job, list(loads)],
        skipped=sql.SQL(skipped_table),
        by=sql.Identifier(by),
    )
    return question.found(rows)


@dataclass(frozen=True)
class _Key:
    """One column of distinct keys as an array parameter, and its comparison.

    ``value`` is the SQL of one of them, ``{0}`` its place; ``indexed`` says whether an
    index on the parent's column serves it.
    """

    literal: str
    element: str
    value: str = "{0}"
    indexed: bool = True


@dataclass(frozen=True)
class _Question:
    """The distinct keys of a batch, in order, on their way to the server and back.

    ``places`` says for each row which of the ``count`` keys it asks for, -1 for none;
    ``nulls`` where a part of its key is NULL.
    """

    keys: Sequence[_Key]
    places: npt.NDArray[np.int64]
    nulls: npt.NDArray[np.bool_]
    count: int

    @classmethod
    def of(cls, values: Sequence[pa.Array], types: Sequence[ColumnType]) -> _Question:
        rows = len(values[0])
        nulls = np.zeros(rows, np.bool_)
        unknown = np.zeros(rows, np.bool_)
        ranks = np.zeros(rows, np.int64)
        for column in values:
            nulls |= _flags(column.is_null())
            if pa.types.is_string(column.type):
                # No text of the server holds a NUL, and it refuses a parameter that does.
                unknown |= _flags(pc.match_substring(column, "\0").fill_null(False))
            ranks = np.unique(ranks, return_inverse=True)[1] * rows + _rank(column)
        asking = np.flatnonzero(~(nulls | unknown))
        places = np.full(rows, -1, np.int64)
        _, first, places[asking] = np.unique(ranks[asking], return_index=True, return_inverse=True)
        example = pa.array(asking[first])
        keys = [
            _key(column.take(example), kind) for column, kind in zip(values, types, strict=True)
        ]
        return cls(keys, places, nulls, len(first))

    def put(
        self,
        connection: psycopg.Connection[Any],
        query: str,
        parameters: Sequence[object] = (),
        **parts: sql.Composable,
    ) -> list[tuple[Any, ...]]:
        """The rows of ``query``, which begin with ``{ordinal}``: the place of a key.

        ``{asked}`` are the keys, ``_asked.k0`` and so on; ``parameters`` are numbered
        after them. Nothing is sent where there is nothing to ask.
        """
        if not self.count:
            return []
        arrays = ", ".join(f"${i}::{key.element}[]" for i, key in enumerate(self.keys, 1))
        names = ", ".join(f"k{i}" for i in range(len(self.keys)))
        asked = f"unnest({arrays}) WITH ORDINALITY AS _asked({names}, ordinal)"
        statement = sql.SQL(query).format(
            ordinal=sql.SQL("(_asked.ordinal - 1)::int4"), asked=sql.SQL(asked), **parts
        )
        literals = [key.literal for key in self.keys]
        with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
            # Prepared, it would be planned without knowing how many keys are asked for.
            cursor.execute(statement, [*literals, *parameters], binary=True, prepare=False)
            return cursor.fetchall()

    def parent(self, relation: Relation, columns: Sequence[Column]) -> sql.Composable:
        """What stands behind FROM to get the parents of one key."""
        same = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(
                sql.Identifier(column.name), sql.SQL(key.value.format(f"_asked.k{i}"))
            )
            for i, (column, key) in enumerate(zip(columns, self.keys, strict=True))
        )
        names = {column.name for column in columns}
        indexed = all(key.indexed for key in self.keys) and any(
            set(unique[: len(names)]) == names for unique in relation.unique_keys
        )
        # OFFSET 0 keeps the planner from a join that reads the whole parent.
        end = sql.SQL(" OFFSET 0" if indexed else "")
        return sql.SQL("{} WHERE {}{}").format(relation.sql, same, end)

    def found(self, rows: Sequence[tuple[Any, ...]]) -> pa.BooleanArray:
        """For each row of the batch whether its key is among ``rows``; NULL for a NULL."""
        return pa.array(self._answers(rows) >= 0, mask=self.nulls)

    def spread(self, rows: Sequence[tuple[Any, ...]], column: pa.Array) -> pa.Array:
        """For each row of the batch what ``column``, parallel to ``rows``, has for its key."""
        answers = self._answers(rows)
        return column.take(pa.array(answers, mask=answers < 0))

    def _answers(self, rows: Sequence[tuple[Any, ...]]) -> npt.NDArray[np.int64]:
        by_key = np.full(self.count + 1, -1, np.int64)  # the last is for rows that asked nothing
        by_key[[row[0] for row in rows]] = np.arange(len(rows))
        answers: npt.NDArray[np.int64] = by_key[self.places]
        return answers


def _key(values: pa.Array, parent: ColumnType) -> _Key:
    kind = values.type
    if pa.types.is_signed_integer(kind):
        # As int8 whatever the column is: a number too large for it is absent, not an error.
        literal = _array_literal(values.cast(pa.string()))
        return _Key(literal, "int8") if parent.is_integer else _Key(literal, _base(parent))
    if pa.types.is_floating(kind):
        literal = _array_literal(values.cast(pa.float64()).cast(pa.string()))
        return _Key(literal, "float8", indexed=parent.name in ("float4", "float8"))
    if pa.types.is_boolean(kind):
        return _Key(_array_literal(values.cast(pa.string())), "bool")
    if pa.types.is_date32(kind):
        return _Key(_array_literal(values.cast(pa.int32()).cast(pa.string())), "int4", _TO_DATE)
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        moment = _TO_TIMESTAMP if kind.tz is None else f"({_TO_TIMESTAMP} AT TIME ZONE 'UTC')"
        return _Key(_array_literal(values.cast(pa.int64()).cast(pa.string())), "int8", moment)
    if pa.types.is_string(kind) or pa.types.is_null(kind):
        literal = _array_literal(_quoted(values.cast(pa.string())))
        if parent.is_integer:
            return _Key(literal, "numeric", indexed=False)
        return _Key(literal, _base(parent))
    raise TypeError(f"keys of type {kind} can't be looked up")


_TO_DATE = (
    "CASE {0} WHEN 2147483647 THEN date 'infinity' WHEN -2147483647 THEN date '-infinity'"
    " ELSE date 'epoch' + {0} END"
)
# In whole days and the rest, because an interval times a number is exact up to 2**53 only.
_TO_TIMESTAMP = (
    "CASE {0} WHEN 9223372036854775807 THEN timestamp 'infinity'"
    " WHEN -9223372036854775807 THEN timestamp '-infinity' ELSE timestamp 'epoch'"
    " + {0} / 86400000000 * interval '1 day' + {0} % 86400000000 * interval '1 microsecond' END"
)
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


def _base(parent: ColumnType) -> str:
    """The type without length or precision, to which a cast changes no value."""
    if parent.name in ("text", "varchar", "name"):
        return "text"
    # Quoted, bit is a type of any length and not of length 1.
    return f'"{parent.name}"' if re.fullmatch(r"[a-z_][a-z0-9_]*", parent.name) else parent.name


def _sent(column: Column) -> sql.Composable:
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
    settings = sql.SQL(", ").join(
        sql.SQL("set_config({}, {}, false)").format(name, value)
        for name, value in SESSION_SETTINGS.items()
    )
    with adbc.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT {}").format(settings).as_string())
        cursor.fetchall()
        cursor.execute(query.as_string())
        return cursor.fetch_arrow_table()


def _flags(booleans: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = booleans.to_numpy(zero_copy_only=False)
    return flags


def _rank(values: pa.Array) -> npt.NDArray[np.int64]:
    """Numbers in the order of the values, from 0, the same for equal values; any for a NULL."""
    encoded = values.dictionary_encode()
    rank = np.zeros(len(encoded.dictionary) + 1, np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(encoded.dictionary))
    ranks: npt.NDArray[np.int64] = rank[encoded.indices.fill_null(-1).to_numpy()]
    return ranks


def _quoted(texts: pa.Array) -> pa.Array:
    for special in ("\\", '"'):
        texts = pc.replace_substring(texts, special, "\\" + special)
    return pc.binary_join_element_wise('"', texts, '"', "")


def _array_literal(elements: pa.Array) -> str:
    """The strings as the text of one PostgreSQL array."""
    whole = pa.ListArray.from_arrays(pa.array([0, len(elements)], pa.int32()), elements)
    return "{" + str(pc.binary_join(whole, ",")[0].as_py()) + "}"


def _plain_decimals(numbers: pa.Array) -> pa.Array:
    """Decimal text without sign, zeros and point that say nothing; 1e3 written out."""
    exponents = _flags(pc.match_substring(numbers, "e", ignore_case=True).fill_null(False))
    if exponents.any():
        written = [f"{Decimal(text):f}" for text in numbers.filter(pa.array(exponents)).to_pylist()]
        numbers = pc.replace_with_mask(numbers, pa.array(exponents), pa.array(written, pa.string()))
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
