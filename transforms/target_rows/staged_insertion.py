"""Insertion of the rows of one stage, under the eye of the trigger watch."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.specification.policies import WriteMode
from transforms.ledger.write_marks import WriteMarks
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.halves import RowsDropped
from transforms.target_rows.insertion import KEYS_CHANGED, insert, lost_keys
from transforms.target_rows.scratch_tables import ScratchTables
from transforms.target_rows.target_errors import KEY_CHANGED
from transforms.target_rows.trigger_watch import TriggerWatch
from transforms.target_rows.watched_write import write_watched


class StagedInsertion:
    """Writes staged rows that a condition picks.

    Args:
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

    def __init__(
        self,
        connection: psycopg.Connection,
        scratch: ScratchTables,
        table: Relation,
        columns: Sequence[Column],
        key: Sequence[str],
        mode: WriteMode,
        constraints: TargetConstraints,
        watch: TriggerWatch | None,
        marks: WriteMarks | None,
    ) -> None:
        self._connection = connection
        self._scratch = scratch
        self._table = table
        self._columns = columns
        self._key = key
        self._mode = mode
        self._compare_keys = watch is not None and bool(key) and constraints.can_read
        self._watch = watch
        self._marks = marks

    def statement(
        self,
        condition: sql.Composable,
        mode: WriteMode | None = None,
        if_not_there: bool = False,
    ) -> sql.Composed:
        """The statement of ``insert`` for the rows that ``condition`` picks."""
        return insert(
            self._scratch,
            self._table,
            self._columns,
            self._key,
            mode or self._mode,
            condition,
            self._compare_keys,
            if_not_there,
        )

    def lost_keys(self, condition: sql.Composable) -> sql.Composed:
        """Whether the key of a row that ``condition`` picks isn't in the target."""
        return lost_keys(self._scratch, self._table, self._columns, self._key, condition)

    def insert(self, condition: sql.Composable) -> tuple[int, int]:
        """Writes the rows that ``condition`` picks.

        Returns:
            Rows written, and new ones among them.

        Raises:
            RowsDropped: a trigger has dropped or changed rows.
            psycopg.Error: the target refuses a row.
        """
        if self._watch is None:
            return self._insert(condition)
        lost = self.lost_keys(condition) if self._key else None
        return write_watched(
            self._connection, self._watch, lambda: self._insert(condition), lost, self._marks
        )

    def _insert(self, condition: sql.Composable) -> tuple[int, int]:
        counts = self._connection.execute(self.statement(condition)).fetchone()
        assert counts is not None
        written, new, sent = counts
        if written == KEYS_CHANGED:
            raise RowsDropped(KEY_CHANGED)
        if written != sent:
            raise RowsDropped
        if self._marks is not None:
            self._marks.add(self._connection, written, new)
        return written, new
