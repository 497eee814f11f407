"""A row that a person gives instead of the source, taken as the source would give it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.program import LoadProgram


def parse_row(text: str) -> dict[str, Any]:
    """A JSON object as column values: texts, booleans, None, arrays; numbers as written.

    Raises TransfuseError (USER-001) for anything else.
    """
    try:
        # A number in binary would not be the number that was written.
        row = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except ValueError as error:
        place = f"character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise _refusal("the row is no JSON", place) from None
    if not isinstance(row, dict):
        raise _refusal("the row is no JSON object", "")
    return row


def as_candidates(program: LoadProgram) -> LoadProgram:
    """The program of a load whose rows are spread, for a candidate that a person gives."""
    if program.spread is None:
        return program
    new = tuple(Column(name, kind) for name, kind in program.spread.columns.items())
    relation = program.relations[0]
    extended = replace(relation, columns=(*relation.columns, *new), _by_name={})
    return replace(program, relations=(extended,), spread=None)


def entered_relation(
    connection: psycopg.Connection[Any], program: LoadProgram, row: Mapping[str, Any]
) -> Relation:
    """A relation of just this row, with the columns that the load reads, in their types.

    Columns that ``row`` doesn't have are NULL. The source itself reads the values, so they
    travel on as its own would. ``connection`` is inside a transaction. Raises TransfuseError
    (USER-001) for columns that the source doesn't have and values that they can't hold, all
    of them at once.
    """
    source = program.relations[0]
    values: dict[str, Any] = {}
    problems = []
    for name, value in row.items():
        column = source.column(name)
        if column is None:
            problems.append(unknown_column(source, name))
        elif isinstance(value, dict) or (isinstance(value, list) and column.type.name[0] != "_"):
            message = "an object or an array is given as text"
            problems.append(Problem(ErrorCode.USER_001, message, f"column {name}"))
        elif not _holds(connection, column, value):
            message = f"{column.type} can't hold the value"
            problems.append(Problem(ErrorCode.USER_001, message, f"column {name}"))
        else:
            values[column.name] = value
    if problems:
        raise TransfuseError(problems)
    read = [column for column in map(source.column, program.columns) if column is not None]
    columns: list[sql.Composable] = [sql.Identifier(column.name) for column in read]
    if program.with_ctid:
        # A place that no row has.
        columns.append(sql.SQL("'(0,0)'::tid AS ctid"))
    query = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(columns), _record(read or [source.columns[0]], values)
    )
    return Relation("", source.name, "q", tuple(read), query=query.as_string(connection))


def _holds(connection: psycopg.Connection[Any], column: Column, value: Any) -> bool:
    try:
        with connection.transaction():
            connection.execute(
                sql.SQL("SELECT FROM {}").format(_record([column], {column.name: value}))
            )
    except (psycopg.DataError, psycopg.IntegrityError):
        return False
    return True


def _record(columns: list[Column], values: Mapping[str, Any]) -> sql.Composable:
    """One row in FROM. Unlike a cast it refuses a text that is too long instead of cutting it."""
    document = {c.name: _json_value(c, values[c.name]) for c in columns if c.name in values}
    types = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type.sql)) for c in columns
    )
    return sql.SQL("json_to_record({}) AS given ({})").format(json.dumps(document), types)


def _json_value(column: Column, value: Any) -> Any:
    """The value within the JSON document that the server reads: JSON itself, else text."""
    if column.type.name in ("json", "jsonb") and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return str(value).lower() if isinstance(value, bool) else value


def unknown_column(source: Relation, name: str) -> Problem:
    """What is wrong with a row that names a column which the source doesn't have."""
    names = [column.name for column in source.columns]
    close = difflib.get_close_matches(name, names, 1)
    remedy = f"did you mean '{close[0]}'?" if close else f"it has: {', '.join(names)}"
    return Problem(ErrorCode.USER_001, f"{source} has no such column", f"column {name}", remedy)


def _refusal(message: str, where: str) -> TransfuseError:
    remedy = 'write an object of source columns, such as {"id": 5, "name": null}'
    return TransfuseError(Problem(ErrorCode.USER_001, message, where, remedy))
