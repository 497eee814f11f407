"""Writes rows and judges what the triggers of the target have done meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from transforms.ledger.write_marks import WriteMarks
from transforms.target_rows.halves import RowsDropped
from transforms.target_rows.trigger_watch import TriggerWatch


def write_watched(
    connection: psycopg.Connection[Any],
    watch: TriggerWatch,
    write: Callable[[], tuple[int, int]],
    lost_keys: sql.Composable | None = None,
    marks: WriteMarks | None = None,
) -> tuple[int, int]:
    """Run ``write``, and check deferred constraints, whose triggers are watched as well.

    Args:
        connection: the target, in a savepoint of the caller's.
        watch: what is watched.
        write: gives the rows written and the new ones among them.
        lost_keys: whether the key of a written row isn't in the target any more.
        marks: get whether triggers have changed further rows.

    Returns:
        What ``write`` gave.

    Raises:
        RowsDropped: a trigger took rows away, gave them other keys, or changed what is checked.
        psycopg.Error: the server or the connection failed, or refuses a row.
    """
    before = connection.execute(sql.SQL("SELECT {}").format(watch.count())).fetchone()
    assert before is not None
    written, new = write()
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    judge = watch.judge(
        sql.Literal(before[0]), sql.Literal(before[1]), sql.Literal(written - new), lost_keys
    )
    row = connection.execute(sql.SQL("SELECT {}").format(judge)).fetchone()
    assert row is not None
    if row[0] is not None:
        raise RowsDropped(row[0])
    if marks is not None:
        changed = watch.changes_further_rows(sql.Literal(before[1]), sql.Literal(written - new))
        connection.execute(marks.statement_of_others(changed))
    return written, new
