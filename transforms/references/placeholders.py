"""Stand-ins for parents that never reached the target, where the specification allows them."""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from schemas.catalog import Column
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.ledger.write_marks import WriteMarks
from transforms.model.parent_reference import Reference
from transforms.model.program import LoadProgram
from transforms.postgres.server_errors import is_missing_object_or_right
from transforms.references.generated_keys import generate_keys
from transforms.target_rows.blame import raise_if_no_row_is_to_blame
from transforms.target_rows.halves import attempt, try_out
from transforms.target_rows.target_errors import TargetError, is_out_of_memory
from transforms.target_rows.trigger_watch import watch_triggers
from transforms.target_rows.watched_write import write_watched

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
    ledger: WorkerLedger,
    reference: Reference,
    keys: pa.Array,
    marks: WriteMarks,
) -> tuple[int, pa.Array]:
    """Make the parents that aren't there yet.

    Two transactions that need the same placeholder make one: the second waits for the first.

    Args:
        ledger: The run's.
        reference: The reference to the parents.
        keys: The keys of the parents as the reference has them (text).
        marks: Those of the parents' table.

    Returns:
        How many were made, and the target key of each key (text, in order). That is NULL if the
        target refuses the placeholder, as it does for a second 'Unknown' in a unique column, or if
        a trigger takes rows of the job away meanwhile.

    Raises:
        psycopg.Error: The server can't be reached, or refuses for another reason.
    """
    connection = ledger.connection
    wanted = pa.array(sorted(k for k in pc.unique(keys).to_pylist() if k is not None), pa.string())
    if not len(wanted):
        return 0, keys
    parent = ledger.context.programs[reference.parents[0]]
    if not reference.by_source_key:
        made = _insert(ledger, reference, wanted, marks)
        ledger.placeholders.add(reference.table, made)
        there = pc.is_in(keys, value_set=_standing(connection, reference, wanted))
        return len(made), pc.if_else(there, keys, pa.scalar(None, pa.string()))
    count = _reserve(ledger, parent, reference, wanted, marks)
    targets = ledger.keys.read_target_keys(parent.name, wanted)
    return count, pa.array([targets.get(k) for k in keys.to_pylist()], pa.string())


def _reserve(
    ledger: WorkerLedger,
    parent: LoadProgram,
    reference: Reference,
    source_keys: pa.Array,
    marks: WriteMarks,
) -> int:
    assert parent.generated is not None
    targets = generate_keys(ledger, parent.name, parent.table, parent.generated, source_keys)
    keys = pa.array(sorted(ledger.keys.reserve(parent.name, source_keys, targets)), pa.string())
    made = _insert(ledger, reference, keys, marks)
    ledger.placeholders.add(reference.table, made)
    if len(made) < len(keys):
        existing = _standing(ledger.connection, reference, keys)
        ledger.keys.release(parent.name, keys.to_pylist(), existing.to_pylist())
    return len(made)


def _insert(
    ledger: WorkerLedger,
    reference: Reference,
    keys: pa.Array,
    marks: WriteMarks,
) -> list[str]:
    """Inserts those that the target doesn't have; the keys of the rows that it took.

    Raises psycopg.Error where it takes none, and not because of what is in them.
    """
    connection = ledger.connection
    tables = [program.table for program in ledger.context.programs.values()]
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
