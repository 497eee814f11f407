"""Insertion of the rows of one stage, under the eye of the trigger watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.specification.policies import WriteMode
from transforms.ledger.write_marks import WriteMarks
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.halves import RowsDropped
from transforms.target_rows.insertion import KEYS_CHANGED, has_lost_keys, insert
from transforms.target_rows.scratch_tables import ScratchTables
from transforms.target_rows.target_errors import KEY_CHANGED
from transforms.target_rows.trigger_watch import TriggerWatch
from transforms.target_rows.watched_write import write_watched


@dataclass(frozen=True)
class StagedInsertion:
    """Writes staged rows that a condition picks.

    Attributes:
        connection: the target, in a transaction.
        scratch: the tables of the batch.
        table: the target table.
        columns: the columns that are written.
        key: the names of the key's columns.
        mode: what becomes of existing rows.
        constraints: those of ``table``.
        watch: notices rows that triggers drop or change.
        marks: get the subtransactions that write.
    """

    connection: psycopg.Connection
    scratch: ScratchTables
    table: Relation
    columns: Sequence[Column]
    key: Sequence[str]
    mode: WriteMode
    constraints: TargetConstraints
    watch: TriggerWatch | None = None
    marks: WriteMarks | None = None

    @property
    def _compares_keys(self) -> bool:
        return self.watch is not None and bool(self.key) and self.constraints.can_read

    def statement(
        self,
        condition: sql.Composable,
        mode: WriteMode | None = None,
        if_not_there: bool = False,
    ) -> sql.Composed:
        """The statement of ``insert`` for the rows that ``condition`` picks."""
        return insert(
            self.scratch,
            self.table,
            self.columns,
            self.key,
            mode or self.mode,
            condition,
            self._compares_keys,
            if_not_there,
        )

    def has_lost_keys(self, condition: sql.Composable) -> sql.Composed:
        """SQL for whether the key of a row that ``condition`` picks isn't in the target."""
        return has_lost_keys(self.scratch, self.table, self.columns, self.key, condition)

    def insert(self, condition: sql.Composable) -> tuple[int, int]:
        """Write the rows that ``condition`` picks.

        Returns:
            Rows written, and new ones among them.

        Raises:
            RowsDropped: a trigger has dropped or changed rows.
            psycopg.Error: the target refuses a row.
        """
        if self.watch is None:
            return self._insert(condition)
        lost = self.has_lost_keys(condition) if self.key else None
        return write_watched(
            self.connection, self.watch, lambda: self._insert(condition), lost, self.marks
        )

    def _insert(self, condition: sql.Composable) -> tuple[int, int]:
        counts = self.connection.execute(self.statement(condition)).fetchone()
        assert counts is not None
        written, new, sent = counts
        if written == KEYS_CHANGED:
            raise RowsDropped(KEY_CHANGED)
        if written != sent:
            raise RowsDropped
        if self.marks is not None:
            self.marks.add(self.connection, written, new)
        return written, new
