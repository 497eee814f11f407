"""Fills the parents that were found into the rows of the target, and finds whom it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from schemas.violations import Violation
from transforms.model.field_program import FieldProgram
from transforms.postgres.server_errors import is_missing_object_or_right
from transforms.references.open_references import OpenReferences
from transforms.target_rows.blame import raise_if_no_row_is_to_blame
from transforms.target_rows.constraints import (
    TargetConstraints,
    read_constraints,
    violations_of_errors,
)
from transforms.target_rows.halves import attempt, bisect, try_out
from transforms.target_rows.insertion import ALL
from transforms.target_rows.stage_filling import read_noted
from transforms.target_rows.stage_tables import COLUMNS_OF_REFUSALS, COLUMNS_OF_STANDING
from transforms.target_rows.target_errors import DROPPED, TargetError
from transforms.target_rows.trace import Statement, trace_writing
from transforms.target_rows.trigger_watch import (
    TriggerWatch,
    read_settings,
    restore_settings,
    watch_triggers,
)
from transforms.target_rows.watched_write import write_watched


def fill_in(
    open_references: OpenReferences, fields: Sequence[FieldProgram]
) -> list[tuple[Violation, list[int]]]:
    """Sets the deferred columns of all rows at once, or of none and says what is refused.

    Returns violations with the ordinals of their candidates: what the target refuses as in
    ``TargetWriter.write``, TRANS-004 also where a trigger leaves a row as it was. Then
    nothing is changed, so that these rows can be taken out before others refer to them.
    Raises psycopg.Error where no row is to blame.
    """
    connection, table = open_references.connection, open_references.program.table
    names = [field.name for field in fields]
    constraints = read_constraints(connection, table, names)
    open_references.make(
        "found",
        "SELECT _ordinal, target_key, jsonb_object_agg(field, parent) AS parents FROM {open}"
        " WHERE parent IS NOT NULL AND written GROUP BY _ordinal, target_key",
    )
    open_references.make("filled", "SELECT _ordinal FROM {found} LIMIT 0")
    watch = watch_triggers(connection, table, open_references.tables)
    settings = read_settings(connection) if watch else {}
    with connection.transaction() as trial:
        refused = _fill(open_references, fields, constraints, watch)
        refused += _dropped_candidates(open_references, refused)
        if refused:
            raise psycopg.Rollback(trial)
    if settings:
        restore_settings(connection, settings)
    reasons = [error for error, _ in refused]
    violations = violations_of_errors(connection, table, names, constraints, reasons)
    return [
        (violation, ordinals) for violation, (_, ordinals) in zip(violations, refused, strict=True)
    ]


def _fill(
    open_references: OpenReferences,
    fields: Sequence[FieldProgram],
    constraints: TargetConstraints,
    watch: TriggerWatch | None,
) -> list[tuple[TargetError, list[int]]]:
    """Updates all rows but those that are refused; each reason with its ordinals."""
    connection = open_references.connection
    statement = _update(open_references, fields)

    def update(condition: sql.Composable) -> tuple[int, int]:
        row = connection.execute(statement(condition)).fetchone()
        assert row is not None
        open_references.marks.add(connection, int(row[0]), 0)
        return int(row[0]), int(row[1])

    def write(condition: sql.Composable) -> tuple[int, int]:
        if watch is None:
            return update(condition)
        return write_watched(
            connection, watch, lambda: update(condition), marks=open_references.marks
        )

    def try_one(ordinal: int | None) -> TargetError | None:
        chosen = sql.Composed([sql.SQL("false")])
        if ordinal is not None:
            chosen = sql.SQL("_ordinal = {}").format(ordinal)
        return try_out(connection, lambda: write(chosen))

    if not isinstance(attempt(connection, lambda: write(ALL)), TargetError):
        return []
    written, refused = _trace(open_references, statement, constraints, watch) or _bisect(
        open_references, write
    )
    if not written:
        raise_if_no_row_is_to_blame(refused, try_one, _is_only_one)
    return refused


def _is_only_one(error: TargetError, candidates: int) -> bool:
    """Whether to blame a candidate that no other can be compared with, so that the load ends."""
    missing = error.raised is not None and is_missing_object_or_right(error.raised)
    return candidates == 1 and not missing


def _trace(
    open_references: OpenReferences,
    statement: Statement,
    constraints: TargetConstraints,
    watch: TriggerWatch | None,
) -> tuple[int, list[tuple[TargetError, list[int]]]] | None:
    """Updates the rows in the server: how many, and what is refused. None where that can't be."""
    if not constraints.can_trace:
        return None
    connection, scratch = open_references.connection, open_references.scratch
    scratch.create("refusals", COLUMNS_OF_REFUSALS)
    scratch.create("standing", COLUMNS_OF_STANDING)
    marks = open_references.marks
    counts = attempt(
        connection,
        lambda: trace_writing(connection, scratch, statement, "found", watch, marks=marks),
    )
    if isinstance(counts, TargetError):
        return None
    return counts[0], read_noted(connection, scratch)


def _bisect(
    open_references: OpenReferences, write: Callable[[sql.Composable], tuple[int, int]]
) -> tuple[int, list[tuple[TargetError, list[int]]]]:
    """Updates the rows by halves from here: how many, and what is refused."""
    # Without an index each half of what is refused would be searched for in all of it.
    open_references.execute("CREATE INDEX ON {found} (_ordinal)")
    ordinals = open_references.execute("SELECT DISTINCT _ordinal FROM {found} ORDER BY 1")
    counts, refused = bisect(
        open_references.connection,
        [ordinal for (ordinal,) in ordinals.fetchall()],
        lambda low, high: write(sql.SQL("_ordinal BETWEEN {} AND {}").format(low, high)),
    )
    return counts[0], [(error, [ordinal]) for ordinal, error in refused]


def _dropped_candidates(
    open_references: OpenReferences, refused: Sequence[tuple[TargetError, list[int]]]
) -> list[tuple[TargetError, list[int]]]:
    """Candidates of which a trigger left a row as it was, without an error."""
    rows = open_references.execute(
        "SELECT DISTINCT _ordinal FROM (SELECT _ordinal FROM {found}"
        " EXCEPT ALL SELECT _ordinal FROM {filled}) AS missing ORDER BY 1"
    ).fetchall()
    known = {ordinal for _, ordinals in refused for ordinal in ordinals}
    dropped = [ordinal for (ordinal,) in rows if ordinal not in known]
    return [(TargetError(DROPPED), dropped)] if dropped else []


def _update(open_references: OpenReferences, fields: Sequence[FieldProgram]) -> Statement:
    """The update of the candidates that a condition picks, which are noted in ``filled``."""
    changes = sql.SQL(", ").join(
        sql.SQL(
            "{column} = CASE WHEN o.parents ? {name}"
            " THEN (o.parents ->> {name})::{type} ELSE t.{column} END"
        ).format(
            column=sql.Identifier(field.name),
            name=sql.Literal(field.name),
            type=sql.SQL(field.target.sql),
        )
        for field in fields
    )
    return lambda condition: sql.SQL(
        "WITH wrote AS (UPDATE {table} t SET {changes}"
        " FROM (SELECT _ordinal, target_key, parents FROM {found} WHERE {condition}) o"
        " WHERE {same} RETURNING o._ordinal),"
        " noted AS (INSERT INTO {filled} SELECT _ordinal FROM wrote)"
        " SELECT count(*), 0, count(*) FROM wrote"
    ).format(**open_references.plain, changes=changes, condition=condition)
