"""Rows of a PostgreSQL source by the texts that identify them in the error sink."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from psycopg import sql

from schemas.column_types import ColumnType
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.mapping.program import LoadProgram

_CTID = re.compile(r"\(\d{1,10},\d{1,5}\)")
_PLACE = re.compile(r"([\d-]+):(\d+)")

Values = list[str | None]


def partition_in(program: LoadProgram, source_key: str) -> str | None:
    """The id of the partition in which a row without any key of its own has its place.

    None where the source key is one by itself: columns of the row, or its ctid.
    """
    match = _PLACE.fullmatch(source_key)
    return None if program.source_key or program.with_ctid or match is None else match[1]


def rows_with(program: LoadProgram, source_keys: Sequence[str]) -> str | None:
    """The SQL condition that picks the rows with these source keys, of which there is one at
    least; None where their places in a partition identify them.

    Raises TransfuseError (USER-001) for a text that is no source key of the load.
    """
    if program.source_key:
        return _with_values(program, [_values(program, key) for key in source_keys])
    form = _CTID if program.with_ctid else _PLACE
    for key in source_keys:
        if not form.fullmatch(key):
            raise no_source_key(program, key)
    if not program.with_ctid:
        return None
    places = sql.SQL(", ").join(sql.Literal(key) for key in source_keys)
    return sql.SQL("ctid = ANY(ARRAY[{}]::tid[])").format(places).as_string()


def _with_values(program: LoadProgram, rows: Sequence[Values]) -> str:
    types = program.column_types()
    columns = [(sql.Identifier(name), types[name]) for name in program.source_key]
    whole = [row for row in rows if None not in row]
    alternatives = []
    if whole and len(columns) == 1:
        # The server takes a bare literal for the column's type without its length, to which it
        # would silently cut a value.
        values = sql.SQL(", ").join(sql.Literal(value) for (value,) in whole)
        alternatives.append(sql.SQL("{} IN ({})").format(columns[0][0], values))
    elif whole:
        values = sql.SQL(", ").join(
            sql.SQL("({})").format(
                sql.SQL(", ").join(
                    sql.SQL("{}::{}").format(sql.Literal(value), _unmodified(kind))
                    for value, (_, kind) in zip(row, columns, strict=True)
                )
            )
            for row in whole
        )
        names = sql.SQL(", ").join(name for name, _ in columns)
        alternatives.append(sql.SQL("({}) IN (VALUES {})").format(names, values))
    for row in rows:
        if None in row:
            parts = [
                sql.SQL("{} IS NULL").format(name)
                if value is None
                else sql.SQL("{} = {}").format(name, sql.Literal(value))
                for value, (name, _) in zip(row, columns, strict=True)
            ]
            alternatives.append(sql.SQL("({})").format(sql.SQL(" AND ").join(parts)))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(alternatives)).as_string()


def _unmodified(kind: ColumnType) -> sql.SQL:
    """A type without its length or precision, to which a value would be cut."""
    return sql.SQL(kind.sql if kind.length is None and kind.precision is None else kind.name)


def _values(program: LoadProgram, source_key: str) -> Values:
    if len(program.source_key) == 1:
        return [source_key]
    try:
        values = json.loads(source_key)
    except ValueError:
        raise no_source_key(program, source_key) from None
    if not isinstance(values, list) or len(values) != len(program.source_key):
        raise no_source_key(program, source_key)
    return [None if value is None else str(value) for value in values]


def no_source_key(program: LoadProgram, source_key: str) -> TransfuseError:
    """What to say of a text that can't be a source key of the load (USER-001)."""
    if len(program.source_key) > 1:
        form = f"a JSON array of the texts of {', '.join(program.source_key)}"
    elif program.source_key:
        form = f"a value of {program.source_key[0]}"
    else:
        form = "a row's place, (PAGE,ROW)" if program.with_ctid else "PARTITION:ROW"
    return TransfuseError(
        Problem(
            ErrorCode.USER_001,
            f"{source_key!r} is no source key of the load",
            f"table {program.name}",
            f"it is {form}, as in migration_errors.source_key",
        )
    )
