"""What became of parents that aren't in the target: rejected, with which cause, or skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
from psycopg import sql

from schemas.column_types import TEXT
from transforms.keys.parent_question import Question
from transforms.ledger.ledger_session import LedgerSession

KeyColumn = Literal["target_key", "source_key"]
"""The column of a parent's key that a child's values are compared with."""


@dataclass(frozen=True)
class ParentFates:
    """Looks up violations and skips of parents for the values of children.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def find_causes(
        self,
        target_table: str,
        by: KeyColumn,
        values: pa.Array,
        loads: Sequence[str] | None = None,
    ) -> pa.Array:
        """Find the violation that kept each parent out of the target.

        Warnings kept nothing out, nor did a violation that a replay didn't find again. Of several
        it is the one with the smallest id, and one of the winner rather than of a duplicate, which
        follows from it.

        Args:
            target_table: The table of the parents.
            by: The key of the parents that the values are.
            values: Those of the children (text).
            loads: The loads of the parents; None for all of the table.

        Returns:
            The id of the violation (text), or NULL, in the order of the values.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        of_loads = "" if loads is None else " AND e.load = ANY($4)"
        question = Question.of([values], [TEXT])
        rows = question.ask(
            self.session.connection,
            "SELECT DISTINCT ON (_asked.ordinal) {ordinal}, e.id::text"
            " FROM {asked} JOIN {errors} AS e ON e.{by} = _asked.k0"
            " WHERE e.referenced AND e.job_id = $2 AND e.target_table = $3 AND NOT e.warning"
            f" AND e.status <> 'replayed'{of_loads}"
            " ORDER BY _asked.ordinal, e.rule_id = 'key.duplicate', e.id",
            [self.session.job, target_table, *([] if loads is None else [list(loads)])],
            errors=self.session.table("migration_errors"),
            by=sql.Identifier(by),
        )
        return question.answers(rows, pa.array([row[1] for row in rows], pa.string()))

    def find_skipped(
        self, loads: Sequence[str], by: KeyColumn, values: pa.Array
    ) -> pa.BooleanArray:
        """Find the values whose parents were skipped.

        Args:
            loads: The loads of the parents.
            by: The key of the parents that the values are.
            values: Those of the children (text).

        Returns:
            Whether a parent with each value was skipped, NULL for NULL, in their order.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        question = Question.of([values], [TEXT])
        rows = question.ask(
            self.session.connection,
            "SELECT {ordinal} FROM {asked} WHERE EXISTS (SELECT FROM {skipped} AS s"
            " WHERE s.job_id = $2 AND s.load = ANY($3) AND s.{by} = _asked.k0)",
            [self.session.job, list(loads)],
            skipped=self.session.table("migration_skipped"),
            by=sql.Identifier(by),
        )
        return question.matches(rows)
