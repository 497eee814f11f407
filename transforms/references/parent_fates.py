"""What became of parents that aren't in the target: rejected, with which cause, or skipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.column_types import TEXT
from transforms.references.parent_question import Question

By = Literal["target_key", "source_key"]
"""The column of a row's key that is asked for."""


def rejected_parents(
    connection: psycopg.Connection[Any],
    errors_table: str,
    job: str,
    target_table: str,
    by: By,
    values: pa.Array,
    loads: Sequence[str] | None = None,
) -> pa.Array:
    """The id (as text) of the violation that kept each parent out of the target, else NULL.

    ``values`` (text) are what the parent's row has in the column ``by`` of the errors
    table, whose other columns here are id, job_id, target_table, rule_id, warning, status and
    referenced, and load where only ``loads`` are meant. Of several violations it is the one
    with the smallest id, and one of the winner rather than of a duplicate, which follows from
    it; warnings kept nothing out, nor does what was found no more in a replay. Raises
    psycopg.Error.
    """
    meant = "" if loads is None else " AND e.load = ANY($4)"
    question = Question.of([values], [TEXT])
    rows = question.put(
        connection,
        "SELECT DISTINCT ON (_asked.ordinal) {ordinal}, e.id::text"
        " FROM {asked} JOIN {errors} AS e ON e.{by} = _asked.k0"
        " WHERE e.referenced AND e.job_id = $2 AND e.target_table = $3 AND NOT e.warning"
        f" AND e.status <> 'replayed'{meant}"
        " ORDER BY _asked.ordinal, e.rule_id = 'key.duplicate', e.id",
        [job, target_table] if loads is None else [job, target_table, list(loads)],
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
    question = Question.of([values], [TEXT])
    rows = question.put(
        connection,
        "SELECT {ordinal} FROM {asked} WHERE EXISTS (SELECT FROM {skipped} AS s"
        " WHERE s.job_id = $2 AND s.load = ANY($3) AND s.{by} = _asked.k0)",
        [job, list(loads)],
        skipped=sql.SQL(skipped_table),
        by=sql.Identifier(by),
    )
    return question.found(rows)
