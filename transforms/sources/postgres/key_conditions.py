"""Rows of a PostgreSQL source by the texts that identify them in the error sink."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from psycopg import sql

from schemas.column_types import ColumnType
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.program import LoadProgram

_CTID = re.compile(r"\(\d{1,10},\d{1,5}\)")
_PLACE = re.compile(r"([\d-]+):(\d+)")

Values = list[str | None]


def partition_in(program: LoadProgram, source_key: str) -> str | None:
    """The id of the partition in which a row without any key of its own has its place.

    None where the source key is one by itself: columns of the row, or its ctid.
    """
    match = _PLACE.fullmatch(source_key)
    return None if program.source_key or program.with_ctid or match is None else match[1]


class NoSourceKey(ValueError):
    """A text that can't be a source key of a load."""


def rows_with(program: LoadProgram, source_keys: Sequence[str | None]) -> str | None:
    """The SQL condition that picks the rows with these source keys, of which there is one at
    least; None where their places in a partition identify them.

    None as a key is NULL in the only column of it. Raises NoSourceKey.
    """
    if program.source_key:
        return _with_values(program, [_values(program, key) for key in source_keys])
    form = _CTID if program.with_ctid else _PLACE
    for key in source_keys:
        if key is None or not form.fullmatch(key):
            raise NoSourceKey
    if not program.with_ctid:
        return None
    places = sql.SQL(", ").join(sql.Literal(key) for key in source_keys)
    return sql.SQL("ctid = ANY(ARRAY[{}]::tid[])").format(places).as_string()


def _with_values(program: LoadProgram, rows: Sequence[Values]) -> str:
    types = program.column_types()
    columns = [(sql.Identifier(name), types[name]) for name in program.source_key]
    # Those with NULL in the same places are asked for together.
    patterns: dict[tuple[bool, ...], list[Values]] = {}
    for row in rows:
        patterns.setdefault(tuple(value is None for value in row), []).append(row)
    alternatives = []
    for empty, alike in patterns.items():
        parts: list[sql.Composable] = [
            sql.SQL("{} IS NULL").format(name)
            for (name, _), is_null in zip(columns, empty, strict=True)
            if is_null
        ]
        present = [column for column, is_null in zip(columns, empty, strict=True) if not is_null]
        if present:
            values = [[v for v in row if v is not None] for row in alike]
            parts.append(_among(present, values, len(program.relations) > 1))
        alternatives.append(sql.SQL("({})").format(sql.SQL(" AND ").join(parts)))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(alternatives)).as_string()


def _among(
    columns: Sequence[tuple[sql.Identifier, ColumnType]],
    rows: Sequence[Sequence[str]],
    is_widened: bool,
) -> sql.Composable:
    """The rows with these values; ``is_widened``: a column's own type may be a narrower one."""
    if len(columns) == 1:
        # The server takes a bare literal for the column's type without its length, to which it
        # would silently cut a value.
        values = sql.SQL(", ").join(sql.Literal(value) for (value,) in rows)
        name: sql.Composable = columns[0][0]
        if is_widened:
            name = sql.SQL("{}::{}").format(name, _without_modifier(columns[0][1]))
        return sql.SQL("{} IN ({})").format(name, values)
    values = sql.SQL(", ").join(
        sql.SQL("({})").format(
            sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Literal(value), _without_modifier(kind))
                for value, (_, kind) in zip(row, columns, strict=True)
            )
        )
        for row in rows
    )
    names = sql.SQL(", ").join(name for name, _ in columns)
    return sql.SQL("({}) IN (VALUES {})").format(names, values)


def _without_modifier(kind: ColumnType) -> sql.SQL:
    """A type without its length or precision, to which a value would be cut."""
    return sql.SQL(kind.sql if kind.length is None and kind.precision is None else kind.name)


def _values(program: LoadProgram, source_key: str | None) -> Values:
    if len(program.source_key) == 1:
        return [source_key]
    try:
        values = json.loads(source_key or "")
    except ValueError:
        raise NoSourceKey from None
    if not isinstance(values, list) or len(values) != len(program.source_key):
        raise NoSourceKey
    return [None if value is None else str(value) for value in values]


def no_source_key(program: LoadProgram, source_key: str) -> TransfuseError:
    """What to say to a person whose text can't be a source key of the load (USER-001)."""
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
