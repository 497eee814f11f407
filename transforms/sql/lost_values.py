"""Values that a row has in its source but not in its batch, where they are NULL.

Nothing may be decided by such a NULL. ``lost.COLUMN`` (bool) marks the rows; a batch has it only
where there are any, so that other batches cost nothing. Marked are ``src.NAME`` that can't travel,
``take.NAME`` of a reference that has failed, and ``out.NAME`` of a field that is NULL with a
warning. The last are NULL for fields and rules, but a skip would remove the warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from transforms.model.bound_expression import BoundExpression
from transforms.sql.duckdb_engine import with_column

LOST = "lost."

UNKNOWN = (f"{LOST}src.", f"{LOST}take.")
"""Marks of columns whose value is unknown, whatever reads them."""

NULLED = (f"{LOST}out.",)
"""Marks of fields that an error has set to NULL."""


def mark_lost(rows: pa.RecordBatch, column: str, mask: pa.Array) -> pa.RecordBatch:
    """The rows with those of ``mask`` (bool) marked in which the value of ``column`` is lost."""
    if not pc.any(mask).as_py():
        return rows
    name = f"{LOST}{column}"
    if name in rows.schema.names:
        mask = pc.or_(rows.column(name), mask)
    return with_column(rows, name, mask)


def lost_columns(
    names: Sequence[str], expressions: Iterable[BoundExpression], marks: tuple[str, ...]
) -> list[str]:
    """The marks among a batch's columns ``names`` that concern what the expressions read."""
    marked = [name for name in names if name.startswith(marks)]
    if not marked:
        return []
    read = tuple(expressions)
    return [name for name in marked if any(e.reads(name.removeprefix(LOST)) for e in read)]


def unknown_rows(rows: pa.RecordBatch, expressions: Sequence[BoundExpression]) -> pa.Array:
    """For which rows (bool) something that the expressions read is lost or has failed."""
    marks = lost_columns(rows.schema.names, expressions, UNKNOWN + NULLED)
    marks += [f"bad.{field}" for e in expressions for field in e.fields]
    return any_of(rows, marks)


def any_of(rows: pa.RecordBatch, names: Iterable[str]) -> pa.Array:
    """For which rows one of these columns (bool) is true."""
    mask = pa.repeat(False, rows.num_rows)
    for name in names:
        mask = pc.or_(mask, pc.fill_null(rows.column(name), False))
    return mask
