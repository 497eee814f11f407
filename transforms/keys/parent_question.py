"""The distinct keys of a batch on their way to the server and back, in one query.

They go out as one array a column, in order, and the answer names them by their place, so
nothing depends on the order in which the server gives its rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.rows import tuple_row

from schemas.catalog import Column, Relation
from schemas.column_types import ColumnType


@dataclass(frozen=True)
class ArrayParameter:
    """A column of values as an array parameter, and how one of them is compared.

    ``value`` is the SQL of one of them, ``{0}`` its place; ``indexed`` says whether an
    index on the parent's column serves it.
    """

    literal: str
    element: str
    value: str = "{0}"
    indexed: bool = True


@dataclass(frozen=True)
class Question:
    """The distinct keys of a batch, in order, on their way to the server and back.

    ``places`` says for each row which of the ``count`` keys it asks for, -1 for none;
    ``nulls`` where a part of its key is NULL.
    """

    keys: Sequence[ArrayParameter]
    places: npt.NDArray[np.int64]
    nulls: npt.NDArray[np.bool_]
    count: int

    @classmethod
    def of(cls, values: Sequence[pa.Array], types: Sequence[ColumnType]) -> Question:
        rows = len(values[0])
        nulls = np.zeros(rows, np.bool_)
        unknown = np.zeros(rows, np.bool_)
        ranks: npt.NDArray[np.int64] = np.zeros(rows, np.int64)
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
            array_parameter(column.take(example), kind)
            for column, kind in zip(values, types, strict=True)
        ]
        return cls(keys, places, nulls, len(first))

    def ask(
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

    def matches(self, rows: Sequence[tuple[Any, ...]]) -> pa.BooleanArray:
        """For each row of the batch whether its key is among ``rows``; NULL for a NULL."""
        return pa.array(self._answers(rows) >= 0, mask=self.nulls)

    def answers(self, rows: Sequence[tuple[Any, ...]], column: pa.Array) -> pa.Array:
        """For each row of the batch what ``column``, parallel to ``rows``, has for its key."""
        answers = self._answers(rows)
        return column.take(pa.array(answers, mask=answers < 0))

    def _answers(self, rows: Sequence[tuple[Any, ...]]) -> npt.NDArray[np.int64]:
        by_key = np.full(self.count + 1, -1, np.int64)  # the last is for rows that asked nothing
        by_key[[row[0] for row in rows]] = np.arange(len(rows))
        answers: npt.NDArray[np.int64] = by_key[self.places]
        return answers


def array_parameter(values: pa.Array, parent: ColumnType) -> ArrayParameter:
    """Values on their way to the server, NULLs too, for a column of type ``parent``.

    Raises:
        TypeError: Where values of their type have no form on the server.
    """
    kind = values.type
    if pa.types.is_signed_integer(kind):
        # As int8 whatever the column is: a number too large for it is absent, not an error.
        literal = _array_literal(values.cast(pa.string()))
        return (
            ArrayParameter(literal, "int8")
            if parent.is_integer
            else ArrayParameter(literal, _base(parent))
        )
    if pa.types.is_floating(kind):
        literal = _array_literal(values.cast(pa.float64()).cast(pa.string()))
        return ArrayParameter(literal, "float8", indexed=parent.name in ("float4", "float8"))
    if pa.types.is_boolean(kind):
        return ArrayParameter(_array_literal(values.cast(pa.string())), "bool")
    if pa.types.is_date32(kind):
        return ArrayParameter(
            _array_literal(values.cast(pa.int32()).cast(pa.string())), "int4", _TO_DATE
        )
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        moment = _TO_TIMESTAMP if kind.tz is None else f"({_TO_TIMESTAMP} AT TIME ZONE 'UTC')"
        return ArrayParameter(
            _array_literal(values.cast(pa.int64()).cast(pa.string())), "int8", moment
        )
    if pa.types.is_string(kind) or pa.types.is_null(kind):
        literal = _array_literal(_quote(values.cast(pa.string())))
        if parent.is_integer:
            return ArrayParameter(literal, "numeric", indexed=False)
        return ArrayParameter(literal, _base(parent))
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


def _base(parent: ColumnType) -> str:
    """The type without length or precision, to which a cast changes no value."""
    if parent.name in ("text", "varchar", "name"):
        return "text"
    # Quoted, bit is a type of any length and not of length 1.
    return f'"{parent.name}"' if re.fullmatch(r"[a-z_][a-z0-9_]*", parent.name) else parent.name


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


def _quote(texts: pa.Array) -> pa.Array:
    for special in ("\\", '"'):
        texts = pc.replace_substring(texts, special, "\\" + special)
    return pc.binary_join_element_wise('"', texts, '"', "")


def _array_literal(elements: pa.Array) -> str:
    """The strings as the text of one PostgreSQL array."""
    # What isn't quoted is no text.
    elements = elements.fill_null("NULL")
    whole = pa.ListArray.from_arrays(pa.array([0, len(elements)], pa.int32()), elements)
    return "{" + str(pc.binary_join(whole, ",")[0].as_py()) + "}"
