"""Fills the parents that were found into the rows of the target, and finds whom it refuses."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from schemas.violations import Finding
from transforms.mapping.program import FieldProgram
from transforms.references.open_references import OpenReferences, verbatim
from transforms.target_rows.constraints import findings_of, read_constraints
from transforms.target_rows.refusals import Refusal
from transforms.target_rows.trace import bisect

_DROPPED = Refusal("TF001")
"""A trigger that leaves the row as it was, without an error. No SQLSTATE of the server's."""


def fill_in(
    open_references: OpenReferences, fields: Sequence[FieldProgram]
) -> list[tuple[Finding, list[int]]]:
    """Sets the deferred columns of all rows at once, or of none and says what is refused.

    Returns findings with the ordinals of their candidates: what the target refuses as in
    ``TargetWriter.write``, TRANS-004 also where a trigger leaves a row as it was. Then
    nothing is changed, so that these rows can be taken out before others refer to them.
    Raises psycopg.Error where no row is to blame.
    """
    connection = open_references.connection
    open_references.make(
        "found",
        "SELECT _ordinal, target_key, jsonb_object_agg(field, parent) AS parents FROM {open}"
        " WHERE parent IS NOT NULL AND written GROUP BY _ordinal, target_key",
    )
    # Without an index each half of what is refused would be searched for in all of it.
    open_references.execute("CREATE INDEX ON {found} (_ordinal)")
    open_references.execute("ANALYZE {found}")
    update = _update(open_references, fields)
    with connection.transaction() as trial:
        refused = _filled(open_references, update)
        if refused:
            raise psycopg.Rollback(trial)
    return _told(open_references, fields, refused)


def _filled(open_references: OpenReferences, update: sql.Composed) -> list[tuple[int, Refusal]]:
    """Updates all rows, by halves where some are refused; the refused ordinals with reasons."""
    connection = open_references.connection
    rows = open_references.execute(
        "SELECT _ordinal, count(*) FROM {found} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    filled: dict[int, int] = {}

    def write(low: int, high: int) -> tuple[int, int]:
        done = dict(connection.execute(update, {"low": low, "high": high}).fetchall())
        # An attempt that was taken back had counted them before.
        filled.update({ordinal: done.get(ordinal, 0) for ordinal in range(low, high + 1)})
        return len(done), 0

    _, refused = bisect(connection, [ordinal for ordinal, _ in rows], write)
    known = {ordinal for ordinal, _ in refused}
    dropped = [o for o, count in rows if filled.get(o, 0) < count and o not in known]
    return refused + [(ordinal, _DROPPED) for ordinal in dropped]


def _update(open_references: OpenReferences, fields: Sequence[FieldProgram]) -> sql.Composed:
    """The update of the candidates from ``low`` to ``high``; gives ordinal and number of rows."""
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
    return sql.SQL(
        "WITH filled AS (UPDATE {table} t SET {changes} FROM {found} o"
        " WHERE o._ordinal BETWEEN %(low)s AND %(high)s AND {same} RETURNING o._ordinal)"
        " SELECT _ordinal, count(*) FROM filled GROUP BY 1"
    ).format(**open_references.parts, changes=verbatim(changes))


def _told(
    open_references: OpenReferences,
    fields: Sequence[FieldProgram],
    refused: Sequence[tuple[int, Refusal]],
) -> list[tuple[Finding, list[int]]]:
    if not refused:
        return []
    by_reason: dict[Refusal, list[int]] = {}
    for ordinal, refusal in refused:
        by_reason.setdefault(refusal, []).append(ordinal)
    connection, table = open_references.connection, open_references.program.table
    names = [field.name for field in fields]
    constraints = read_constraints(connection, table, names)
    findings = findings_of(connection, table, names, constraints, list(by_reason))
    return list(zip(findings, by_reason.values(), strict=True))
