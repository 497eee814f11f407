"""Finding the refused rows in the server: chunks in PL/pgSQL, with an exception handler.

What it writes, and in which order, is as in ``halves``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from schemas.catalog import Column
from schemas.violations import ORDINAL
from transforms.ledger.write_marks import WriteMarks
from transforms.target_rows import trace_blocks
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.insertion import KEYS_CHANGED
from transforms.target_rows.scratch_tables import ScratchTables
from transforms.target_rows.stage_tables import convert, verbatim
from transforms.target_rows.target_errors import (
    DROPPED,
    KEY_CHANGED,
    NO_PARTITION,
    PASSING_STATES,
)
from transforms.target_rows.trigger_watch import LostKeys, TriggerWatch

Statement = Callable[[sql.Composable], sql.Composed]
"""A condition on staged rows to the statement that writes them; it returns one row of three
numbers: rows written, new ones among them, and rows that should have been written."""

_CANDIDATES_AT_ONCE = 10
"""With one bad row in a hundred, ten to thirty in a block with an EXCEPTION take the same
time; with more bad rows fewer are better."""


def trace_writing(
    connection: psycopg.Connection,
    scratch: ScratchTables,
    statement: Statement,
    source: str = "rows",
    watch: TriggerWatch | None = None,
    lost_keys: LostKeys | None = None,
    marks: WriteMarks | None = None,
) -> tuple[int, int]:
    """Write the rows of a scratch table in chunks, and refused chunks candidate by candidate.

    The causes go to ``refusals``: those of each row of a refused candidate that is refused
    on its own, else the candidate's.

    Args:
        connection: the target, in a transaction.
        scratch: the tables of the batch.
        statement: writes the rows that a condition picks.
        source: the scratch table with the rows.
        watch: notices rows that triggers drop or change.
        lost_keys: the condition under which a written row isn't in the target.
        marks: get the subtransactions of what is written.

    Returns:
        Rows written, and new ones among them.

    Raises:
        psycopg.Error: an error, of a row perhaps, with a state that can be the server's own:
            PL/pgSQL doesn't see where an error arose, but the client does.
    """
    member = sql.SQL(trace_blocks.MEMBER).format(
        write=_write(statement, _PLACE, watch, lost_keys),
        note=_note(scratch),
        raise_others=_raise_others(),
    )
    return _trace(connection, scratch, source, statement, member, watch, lost_keys, marks)


def trace_conversion(
    connection: psycopg.Connection,
    scratch: ScratchTables,
    columns: Sequence[Column],
    constraints: TargetConstraints,
) -> None:
    """Convert ``texts`` into ``rows``, whole candidates.

    The causes go to ``refusals``: each value that can't be converted.

    Args:
        connection: the target, in a transaction.
        scratch: the tables of the batch.
        columns: the columns that are written.
        constraints: their types and constraints.

    Raises:
        psycopg.Error: as in ``trace_writing``.
    """
    values = sql.Composed(
        [
            sql.SQL(trace_blocks.VALUE).format(
                declared=verbatim(stored.declared),
                base=verbatim(stored.base),
                name=sql.Identifier(stored.name),
                texts=scratch.name("texts"),
                note=_note(scratch, sql.Literal(stored.name)),
                raise_others=_raise_others(),
            )
            for column, stored in zip(columns, constraints.stored, strict=True)
            if not (column.type.is_native and stored.declared == stored.base)
        ]
    )
    _trace(
        connection,
        scratch,
        "texts",
        lambda condition: convert(scratch, constraints, condition),
        values,
    )


def _trace(
    connection: psycopg.Connection,
    scratch: ScratchTables,
    source: str,
    statement: Statement,
    examine: sql.Composable,
    watch: TriggerWatch | None = None,
    lost_keys: LostKeys | None = None,
    marks: WriteMarks | None = None,
) -> tuple[int, int]:
    ordinal = sql.Identifier(ORDINAL)
    table = scratch.name(source)
    block = sql.SQL(trace_blocks.TRACE).format(
        at_once=sql.Literal(_CANDIDATES_AT_ONCE),
        ordinal=ordinal,
        source=table,
        refusals=scratch.name("refusals"),
        write_part=_write(
            statement,
            sql.SQL("{} BETWEEN tracing.part.low AND tracing.part.high").format(ordinal),
            watch,
            lost_keys,
        ),
        write_candidate=_write(
            statement, sql.SQL("{} = tracing.candidate").format(ordinal), watch, lost_keys
        ),
        note=_note(scratch),
        raise_others=_raise_others(),
        mark=_mark(marks, watch),
        examine=examine,
    )
    connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(table, ordinal))
    connection.execute(sql.SQL("DO {}").format(sql.Literal(block.as_string(connection))))
    row = connection.execute("SELECT current_setting('transfuse.wrote')").fetchone()
    assert row is not None
    written, inserted = row[0].split()
    return int(written), int(inserted)


def _mark(marks: WriteMarks | None, watch: TriggerWatch | None) -> sql.Composable:
    if marks is None:
        return sql.SQL("")
    added = marks.statement(sql.SQL("tracing.wrote"), sql.SQL("tracing.fresh"))
    mark = sql.SQL("IF tracing.wrote > 0 THEN {}; END IF;").format(added)
    if watch is None:
        return mark
    own_updates = sql.SQL("tracing.wrote - tracing.fresh")
    changed = watch.changes_further_rows(sql.SQL("tracing.updated"), own_updates)
    return mark + sql.SQL(" {};").format(marks.statement_of_others(changed))


def _raise_others() -> sql.Composed:
    pattern = f"^({'|'.join(PASSING_STATES)})"
    return sql.SQL("IF SQLSTATE ~ {} THEN RAISE; END IF;").format(sql.Literal(pattern))


def _write(
    statement: Statement,
    condition: sql.Composable,
    watch: TriggerWatch | None,
    lost_keys: LostKeys | None,
) -> sql.Composed:
    """Write the rows that ``condition`` picks, and raise an error for what triggers did to them."""
    before, judge = sql.Composed([]), sql.Composed([])
    if watch is not None:
        before = sql.SQL("SELECT {} INTO tracing.deleted, tracing.updated;").format(watch.count())
        judge = sql.SQL(
            "state := {}; IF tracing.state IS NOT NULL THEN"
            " RAISE EXCEPTION USING ERRCODE = tracing.state; END IF;"
        ).format(
            watch.judge(
                sql.SQL("tracing.deleted"),
                sql.SQL("tracing.updated"),
                sql.SQL("tracing.wrote - tracing.fresh"),
                lost_keys and lost_keys(condition),
            )
        )
    return sql.SQL(trace_blocks.WRITE).format(
        before=before,
        write=statement(condition),
        keys_changed=sql.Literal(KEYS_CHANGED),
        renamed=sql.Literal(KEY_CHANGED),
        dropped=sql.Literal(DROPPED),
        judge=judge,
    )


_PLACE = sql.SQL("ctid = tracing.place")


def _note(scratch: ScratchTables, column: sql.Composable | None = None) -> sql.Composed:
    column = column or sql.SQL("tracing.field")
    return sql.SQL(trace_blocks.NOTE).format(
        column=column,
        refusals=scratch.name("refusals"),
        no_partition=sql.Literal(NO_PARTITION),
    )
