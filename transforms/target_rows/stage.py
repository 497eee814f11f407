"""The stage: a batch in scratch tables, sifted there and then written."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.specification.policies import WriteMode
from schemas.violations import ORDINAL
from transforms.target_rows import stage_checks
from transforms.target_rows.halves import (
    RowsDropped,
    attempt,
    bisect,
    is_large_candidate,
    select_candidate,
    try_out,
)
from transforms.target_rows.insertion import ALL, KEYS_CHANGED
from transforms.target_rows.stage_checks import Repeats
from transforms.target_rows.stage_filling import StageFilling, read_noted
from transforms.target_rows.stage_tables import LINK
from transforms.target_rows.staged_insertion import StagedInsertion
from transforms.target_rows.target_errors import KEY_CHANGED, TargetError
from transforms.target_rows.trace import trace_writing


class Stage:
    """Holds the rows of one batch, in ascending order of ``_ordinal``, until they are written.

    Rows that are refused before they are written leave the stage as whole candidates.

    Args:
        insertion: writes rows of the stage.
    """

    def __init__(self, insertion: StagedInsertion) -> None:
        self._insertion = insertion
        self._connection = insertion.connection
        self._scratch = insertion.scratch
        self._table = insertion.table
        self._columns = insertion.columns
        self._key = insertion.key
        self._constraints = insertion.constraints
        self._rows = self._scratch.name("rows")
        self._refused: list[tuple[TargetError, list[int]]] = []
        self._unwritten: list[tuple[TargetError, list[int]]] = []
        self._filling = StageFilling(
            self._connection, self._scratch, self._columns, self._constraints
        )

    def fill(self, rows: pa.RecordBatch) -> bool:
        """Take in the rows whose values the target's types can hold.

        Args:
            rows: ``_ordinal`` and the columns, by ascending ordinal.

        Returns:
            Whether these are all rows.
        """
        self._batch = rows
        complete = self._filling.fill(rows)
        self._refused += self._filling.refused
        return complete

    def leave_out_existing(self) -> list[int]:
        """Take off the candidates with a key of an existing row; their ordinals."""
        self._analyze()
        existing = self.find_existing()
        if existing and self._insertion.watch and self._constraints.changed_by_trigger:
            renamed = self._find_renamed(existing)
            if renamed:
                self._refused.append((TargetError(KEY_CHANGED), self._take_off(renamed)))
                existing = sorted(set(existing).difference(renamed))
        return self._take_off(existing)

    def _find_renamed(self, existing: Sequence[int]) -> list[int]:
        """Those that a BEFORE trigger would store under another key: they are other rows.

        Only an upsert shows which existing row a candidate meets. Where none is possible,
        only candidates that would be stored under a new key are noticed.
        """
        key_name = self._constraints.key_name(self._key)
        shows_row = key_name is not None and self._constraints.can_update

        def insert_in_vain(low: int, high: int) -> tuple[int, int]:
            condition = sql.SQL("{} = ANY({}) AND {} BETWEEN {} AND {}").format(
                ordinal, sql.Literal(list(existing)), ordinal, low, high
            )
            with self._connection.transaction() as trial:
                counts = self._connection.execute(
                    self._insertion.statement(condition, if_not_there=True)
                    if not shows_row
                    else self._insertion.statement(condition, WriteMode.UPSERT)
                ).fetchone()
                raise psycopg.Rollback(trial)
            assert counts is not None
            if counts[0] == KEYS_CHANGED:
                raise RowsDropped(KEY_CHANGED)
            return 0, 0

        ordinal = sql.Identifier(ORDINAL)
        _, refused = bisect(self._connection, existing, insert_in_vain, hopeless=False)
        return [candidate for candidate, reason in refused if reason.sqlstate == KEY_CHANGED]

    def find_existing(self) -> list[int]:
        """The candidates on the stage with a key of an existing row."""
        return self._ordinals(
            stage_checks.select_existing(self._scratch, self._table, self._columns, self._key)
        )

    def refuse_existing(self) -> None:
        """Refuse the candidates with a key of an existing row."""
        column = self._key[0] if len(self._key) == 1 else None
        ordinals = self.leave_out_existing()
        self._refused.append((TargetError("23505", None, column, existing=True), ordinals))

    def leave_out_repeated(self) -> list[int]:
        """Take off the candidates with a key of an earlier candidate; their ordinals."""
        return self._take_off(
            self._ordinals(
                stage_checks.select_repeated(
                    self._scratch, self._columns, self._key, Repeats.OTHERS
                )
            )
        )

    def refuse_repeated(self, repeats: Repeats) -> None:
        """Refuse the candidates with a row whose key an earlier row has."""
        ordinals = self._take_off(
            self._ordinals(
                stage_checks.select_repeated(self._scratch, self._columns, self._key, repeats)
            )
        )
        name = self._constraints.key_name(self._key)
        column = self._key[0] if name is None and len(self._key) == 1 else None
        self._refused.append((TargetError("23505", name, column), ordinals))

    def _ordinals(self, query: sql.Composed) -> list[int]:
        return sorted(row[0] for row in self._connection.execute(query).fetchall())

    def _take_off(self, ordinals: list[int]) -> list[int]:
        if ordinals:
            self._connection.execute(
                stage_checks.remove(
                    self._scratch,
                    sql.SQL("SELECT unnest({}::int4[])").format(sql.Literal(ordinals)),
                )
            )
        return ordinals

    def write(self, hopeless: bool) -> tuple[int, int]:
        """Write what the target takes, and refuse the rest.

        All rows are written at once if the target takes them; else without those that the
        catalogue's constraints forbid; else chunk by chunk.

        Args:
            hopeless: whether writing all at once has failed already.

        Returns:
            Rows written, and new ones among them.
        """
        if not hopeless:
            result = attempt(self._connection, lambda: self._insertion.insert(ALL))
            if not isinstance(result, TargetError):
                return result
        if self._sift():
            result = attempt(self._connection, lambda: self._insertion.insert(ALL))
            if not isinstance(result, TargetError):
                return result
        if self._filling.wide:
            self._index("more", LINK)
        if self._constraints.can_trace:
            traced = attempt(
                self._connection,
                lambda: trace_writing(
                    self._connection,
                    self._scratch,
                    self._insertion.statement,
                    watch=self._insertion.watch,
                    lost_keys=self._insertion.has_lost_keys if self._key else None,
                    marks=self._insertion.marks,
                ),
            )
            if not isinstance(traced, TargetError):
                return traced
        return self._write_by_halves()

    def try_one(self, ordinal: int | None) -> TargetError | None:
        """Write one candidate, and roll it back.

        Args:
            ordinal: the candidate; None for a statement without rows.

        Returns:
            The reason for which the server refuses it, if it does.
        """
        chosen = sql.SQL("{} = {}").format(sql.Identifier(ORDINAL), ordinal)
        if ordinal is None:
            chosen = sql.Composed([sql.SQL("false")])
        elif any(ordinal in ordinals for _, ordinals in self._refused):
            # It isn't in the stage.
            rows = select_candidate(self._batch, ordinal)
            return try_out(self._connection, lambda: self._filling.copy(rows))
        return try_out(self._connection, lambda: self._insertion.insert(chosen))

    def _sift(self) -> bool:
        """Refuse rows that constraints of the catalogue forbid; whether there were any."""
        run = self._connection.execute
        if self._constraints.can_read and self._insertion.mode is not WriteMode.UPSERT:
            self._analyze()
            for statement in stage_checks.find_standing(
                self._scratch, self._table, self._columns, self._constraints
            ):
                run(statement)
        if self._constraints.changed_by_trigger:
            return False
        run(stage_checks.refuse_standing(self._scratch))
        unfit = stage_checks.find_unfit(self._scratch, self._columns, self._constraints)
        if unfit is not None:
            # A check that raises an error on some row finds none here: each row is tried.
            attempt(self._connection, lambda: run(unfit))
        ordinals = sql.SQL("SELECT ordinal FROM {}").format(self._scratch.name("refusals"))
        return run(stage_checks.remove(self._scratch, ordinals)).rowcount > 0

    def _analyze(self) -> None:
        ordinal = sql.Identifier(ORDINAL)
        self._connection.execute(sql.SQL("ANALYZE {} ({})").format(self._rows, ordinal))

    def _write_by_halves(self) -> tuple[int, int]:
        ordinal = sql.Identifier(ORDINAL)
        # Without an index each half of what is refused would be searched for in all of it.
        self._index("rows", ORDINAL)
        counts, refused = bisect(
            self._connection,
            self._ordinals(sql.SQL("SELECT DISTINCT {} FROM {}").format(ordinal, self._rows)),
            lambda low, high: self._insertion.insert(
                sql.SQL("{} BETWEEN {} AND {}").format(ordinal, low, high)
            ),
            is_large=lambda candidate: is_large_candidate(self._batch, candidate),
        )
        self._unwritten += [(error, [ordinal]) for ordinal, error in refused]
        return counts

    def _index(self, table: str, column: str) -> None:
        self._connection.execute(
            sql.SQL("CREATE INDEX ON {} ({})").format(
                self._scratch.name(table), sql.Identifier(column)
            )
        )

    def refusals_before_writing(self) -> list[tuple[TargetError, list[int]]]:
        """Each reason for which a candidate left the stage, with the ordinals."""
        return self._refused

    def refusals_in_writing(self) -> list[tuple[TargetError, list[int]]]:
        """Each reason for which the target refuses a candidate, with the ordinals."""
        return self._unwritten + read_noted(self._connection, self._scratch)

    def close(self) -> None:
        """Drop the stage, for the next batch of the transaction."""
        self._scratch.close()
