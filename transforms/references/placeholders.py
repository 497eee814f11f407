"""Stand-ins for parents that never reached the target, where the specification allows them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from schemas.catalog import Column
from transforms.model.parent_reference import Reference
from transforms.model.program import LoadProgram
from transforms.model.run_context import RunContext
from transforms.postgres.server_errors import is_missing_object_or_right
from transforms.references.generated_keys import generate_keys
from transforms.target_rows.blame import raise_if_no_row_is_to_blame
from transforms.target_rows.halves import attempt, try_out
from transforms.target_rows.target_errors import TargetError, is_out_of_memory
from transforms.target_rows.trigger_watch import watch_triggers
from transforms.target_rows.watched_write import write_watched
from transforms.target_rows.write_marks import WriteMarks

UNKNOWN = "Unknown"
"""What a placeholder has in the text columns that must not be NULL; the guide's own word."""


def unfillable_columns(reference: Reference) -> list[Column]:
    """The columns that keep placeholders from being made: NOT NULL without a default or a value
    that is given, and no text."""
    given = {reference.column, *(name for name, _ in reference.placeholder)}
    return [
        column
        for column in reference.table.columns
        if column.must_be_given and column.name not in given and not _can_be_unknown(column)
    ]


def refused_values(connection: psycopg.Connection[Any], reference: Reference) -> dict[str, str]:
    """What is wrong with the values that a specification gives its placeholders, by column.

    Raises:
        psycopg.OperationalError: Where the server can't be asked.
    """
    wrong = {}
    for name, value in reference.placeholder:
        column = reference.table.column(name)
        if column is None or column.name != name:
            wrong[name] = f"{reference.table} has no column '{name}'"
        elif column.generated or name == reference.column:
            wrong[name] = "is made for each row"
        elif column.type.length is not None and len(value) > column.type.length:
            wrong[name] = f"the value is longer than {column.type.sql}"
        else:
            try:
                connection.execute(
                    sql.SQL("SELECT {}::{}").format(sql.Literal(value), sql.SQL(column.type.sql))
                )
            except (psycopg.DataError, psycopg.ProgrammingError):
                wrong[name] = f"the value is no {column.type.sql}"
    return wrong


def make_placeholders(
    connection: psycopg.Connection[Any],
    context: RunContext,
    reference: Reference,
    keys: pa.Array,
    marks: WriteMarks,
) -> tuple[int, pa.Array]:
    """Makes the parents of ``keys`` (text, as the reference has them) that aren't there yet.

    ``marks`` get the subtransactions that write them.

    Returns how many were made, and for each key (in order) the target key as text; NULL
    where the target refuses the placeholder, as for a second 'Unknown' in a unique column, and
    where a trigger takes rows of the job away meanwhile.
    Two transactions that need the same placeholder make one: the second waits for the first.
    """
    wanted = pa.array(sorted(k for k in pc.unique(keys).to_pylist() if k is not None), pa.string())
    if not len(wanted):
        return 0, keys
    parent = context.programs[reference.parents[0]]
    if not reference.by_source_key:
        made = _insert(connection, context, reference, wanted, marks)
        _note(connection, context, reference, made)
        there = pc.is_in(keys, value_set=_standing(connection, reference, wanted))
        return len(made), pc.if_else(there, keys, pa.scalar(None, pa.string()))
    count = _reserve(connection, context, parent, reference, wanted, marks)
    targets = dict(
        connection.execute(
            sql.SQL(
                "SELECT source_key, target_key FROM {} WHERE job_id = %s AND load = %s"
                " AND source_key = ANY(%s)"
            ).format(context.table("migration_keys")),
            [context.job, parent.name, wanted.to_pylist()],
        ).fetchall()
    )
    return count, pa.array([targets.get(k) for k in keys.to_pylist()], pa.string())


def _note(
    connection: psycopg.Connection[Any],
    context: RunContext,
    reference: Reference,
    keys: Sequence[str],
) -> None:
    """Stores which rows of the target are placeholders: nothing in them says so."""
    connection.execute(
        sql.SQL(
            "INSERT INTO {} (job_id, target_table, target_key) SELECT %s, %s, k"
            " FROM unnest(%s::text[]) AS u(k) ON CONFLICT DO NOTHING"
        ).format(context.table("migration_placeholders")),
        [context.job, str(reference.table), list(keys)],
    )


def _reserve(
    connection: psycopg.Connection[Any],
    context: RunContext,
    parent: LoadProgram,
    reference: Reference,
    source_keys: pa.Array,
    marks: WriteMarks,
) -> int:
    assert parent.generated is not None
    targets = generate_keys(
        connection, context, parent.name, parent.table, parent.generated, source_keys
    )
    reserved = connection.execute(
        sql.SQL(
            "INSERT INTO {} (job_id, load, source_key, target_key, placeholder)"
            " SELECT %s, %s, s, t, true FROM unnest(%s::text[], %s::text[]) AS u(s, t) ORDER BY s"
            " ON CONFLICT DO NOTHING RETURNING target_key"
        ).format(context.table("migration_keys")),
        [context.job, parent.name, source_keys.to_pylist(), targets.to_pylist()],
    ).fetchall()
    keys = pa.array(sorted(k for (k,) in reserved), pa.string())
    made = _insert(connection, context, reference, keys, marks)
    _note(connection, context, reference, made)
    if len(made) < len(keys):
        connection.execute(
            sql.SQL(
                "DELETE FROM {} WHERE job_id = %s AND load = %s"
                " AND target_key = ANY(%s) AND target_key <> ALL(%s)"
            ).format(context.table("migration_keys")),
            [
                context.job,
                parent.name,
                keys.to_pylist(),
                _standing(connection, reference, keys).to_pylist(),
            ],
        )
    return len(made)


def _insert(
    connection: psycopg.Connection[Any],
    context: RunContext,
    reference: Reference,
    keys: pa.Array,
    marks: WriteMarks,
) -> list[str]:
    """Inserts those that the target doesn't have; the keys of the rows that it took.

    Raises psycopg.Error where it takes none, and not because of what is in them.
    """
    tables = [program.table for program in context.programs.values()]
    watch = watch_triggers(connection, reference.table, tables)

    def insert(offset: int, length: int) -> list[str]:
        # Without parameters, in whose presence a percent sign of a name is taken for one.
        statement = _insertion(reference, keys.slice(offset, length))
        taken: list[str] = []

        def write() -> tuple[int, int]:
            taken.extend(key for (key,) in connection.execute(statement).fetchall())
            marks.add(connection, len(taken), len(taken))
            return len(taken), len(taken)

        if watch is None:
            write()
        else:
            write_watched(connection, watch, write, marks=marks)
        return taken

    def try_one(position: int | None) -> TargetError | None:
        return try_out(connection, lambda: insert(position or 0, 0 if position is None else 1))

    made = attempt(connection, lambda: insert(0, len(keys)))
    if not isinstance(made, TargetError):
        return made
    taken: list[str] = []
    refused: list[tuple[TargetError, list[int]]] = []
    for position in range(len(keys)):
        one = attempt(connection, partial(insert, position, 1))
        if not isinstance(one, TargetError):
            taken += one
        elif one.raised is not None and is_out_of_memory(one.raised):
            raise one.raised
        else:
            refused.append((one, [position]))
    if not taken:
        raise_if_no_row_is_to_blame(refused, try_one, _is_about_placeholder)
    return taken


def _is_about_placeholder(error: TargetError, _: int) -> bool:
    """Whether to reject the children of a placeholder, as no other shows whose fault it is."""
    return error.raised is None or not is_missing_object_or_right(error.raised)


def _insertion(reference: Reference, keys: pa.Array) -> sql.Composed:
    """The statement that inserts those of the placeholders that aren't there."""
    table = reference.table
    key = table.column(reference.column)
    assert key is not None
    given = dict(reference.placeholder)
    unknown = [
        c for c in table.columns if c.name in given or (c.must_be_given and c.name != key.name)
    ]
    unique = (key.name,) in table.unique_keys
    return sql.SQL(
        "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE"
        " SELECT {values} FROM unnest({keys}::text[]) AS u(k)"
        " WHERE NOT EXISTS (SELECT FROM {table} t WHERE t.{key} = u.k::{type})"
        " ORDER BY k {conflict} RETURNING {key}::text"
    ).format(
        table=table.sql,
        columns=sql.SQL(", ").join(sql.Identifier(c.name) for c in (key, *unknown)),
        values=sql.SQL(", ").join(
            [
                sql.SQL("u.k::{}").format(sql.SQL(key.type.sql)),
                *(
                    sql.SQL("{}::{}").format(sql.Literal(given[c.name]), sql.SQL(c.type.sql))
                    if c.name in given
                    else sql.Literal(UNKNOWN[: c.type.length])
                    for c in unknown
                ),
            ]
        ),
        key=sql.Identifier(key.name),
        type=sql.SQL(key.type.sql),
        keys=sql.Literal(keys.to_pylist()),
        conflict=sql.SQL("ON CONFLICT DO NOTHING" if unique else ""),
    )


def _standing(
    connection: psycopg.Connection[Any], reference: Reference, keys: pa.Array
) -> pa.Array:
    """Those of ``keys`` (text) that the parent's table has."""
    key = reference.table.column(reference.column)
    assert key is not None
    rows = connection.execute(
        sql.SQL(
            "SELECT u.k FROM unnest({keys}::text[]) AS u(k)"
            " WHERE EXISTS (SELECT FROM {table} t WHERE t.{key} = u.k::{type})"
        ).format(
            keys=sql.Literal(keys.to_pylist()),
            table=reference.table.sql,
            key=sql.Identifier(key.name),
            type=sql.SQL(key.type.sql),
        )
    ).fetchall()
    return pa.array([k for (k,) in rows], pa.string())


def _can_be_unknown(column: Column) -> bool:
    return column.type.is_textual
