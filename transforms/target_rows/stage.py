"""The stage: a batch in scratch tables, sifted there and then written."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.violations import ORDINAL
from transforms.target_rows import statements
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.copy_in import copy_in
from transforms.target_rows.encode import copy_format
from transforms.target_rows.halves import attempt, bisect, bisect_batch
from transforms.target_rows.refusals import Refusal
from transforms.target_rows.scratch_tables import ScratchTables
from transforms.target_rows.statements import Repeats, WriteMode
from transforms.target_rows.trace import trace_conversion, trace_writing


class Stage:
    """Holds the rows of one batch, in ascending order of ``_ordinal``, until they are written.

    What is found to be refused before it is written leaves the stage as whole candidates.
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
    ) -> None:
        self._connection = connection
        self._scratch = scratch
        self._rows = scratch.name("rows")
        self._table = table
        self._columns = columns
        self._key = key
        self._mode = mode
        self._constraints = constraints
        self._refused: list[tuple[Refusal, list[int]]] = []
        scratch.create("rows", statements.columns_of_rows(constraints))
        scratch.create("refusals", statements.COLUMNS_OF_REFUSALS)
        scratch.create("standing", statements.COLUMNS_OF_STANDING)

    def fill(self, rows: pa.RecordBatch) -> bool:
        """Takes in the rows whose values the target's types can hold; whether all of them."""
        types = [c.type for c in self._columns]
        copied = attempt(self._connection, lambda: self._copy(rows, "rows", copy_format(types)))
        if not isinstance(copied, Refusal):
            return True
        by_modifier = any(c.parsed_by_modifier for c in self._constraints.stored)
        if by_modifier or not self._constraints.can_trace:
            self._copy_by_halves(rows, "rows", copy_format(types), hopeless=True)
            return False
        self._scratch.create("texts", statements.columns_of_texts(self._columns))
        self._copy_by_halves(rows, "texts", "binary", hopeless=False)
        trace_conversion(self._connection, self._scratch, self._columns, self._constraints)
        self._scratch.drop("texts")
        return False

    def _copy(self, rows: pa.RecordBatch, table: str, form: str) -> tuple[int, int]:
        count = copy_in(self._connection, self._scratch.name(table), rows.schema.names, rows, form)
        return count, count

    def _copy_by_halves(self, rows: pa.RecordBatch, table: str, form: str, hopeless: bool) -> None:
        _, refused = bisect_batch(
            self._connection, rows, lambda part: self._copy(part, table, form), hopeless
        )
        self._refused += [(refusal, [ordinal]) for ordinal, refusal in refused]

    def leave_out_existing(self) -> list[int]:
        """Takes off the candidates with a key that stands in the target; their ordinals."""
        self._analyze()
        return self._take_off(self.find_existing())

    def find_existing(self) -> list[int]:
        """The candidates still here with a key that stands in the target."""
        return self._ordinals(statements.existing(self._scratch, self._table, self._key))

    def refuse_existing(self) -> None:
        """Refuses the candidates with a key that stands in the target."""
        column = self._key[0] if len(self._key) == 1 else None
        ordinals = self.leave_out_existing()
        self._refused.append((Refusal("23505", None, column, existing=True), ordinals))

    def leave_out_repeated(self) -> list[int]:
        """Takes off the candidates with a key of an earlier candidate; their ordinals."""
        return self._take_off(
            self._ordinals(statements.repeated(self._scratch, self._key, Repeats.OTHERS))
        )

    def refuse_repeated(self, repeats: Repeats) -> None:
        """Refuses the candidates with a row whose key an earlier row has."""
        ordinals = self._take_off(
            self._ordinals(statements.repeated(self._scratch, self._key, repeats))
        )
        name = self._constraints.key_name(self._key)
        column = self._key[0] if name is None and len(self._key) == 1 else None
        self._refused.append((Refusal("23505", name, column), ordinals))

    def _ordinals(self, query: sql.Composed) -> list[int]:
        return sorted(row[0] for row in self._connection.execute(query).fetchall())

    def _take_off(self, ordinals: list[int]) -> list[int]:
        if ordinals:
            self._connection.execute(
                statements.remove(
                    self._scratch,
                    sql.SQL("SELECT unnest({}::int4[])").format(sql.Literal(ordinals)),
                )
            )
        return ordinals

    def write(self, hopeless: bool) -> tuple[int, int]:
        """Writes what the target takes and refuses the rest: rows written, new among them.

        All at once if that goes; else without what the catalogue's constraints forbid;
        else chunk by chunk. ``hopeless``: all at once has failed already.
        """
        if not hopeless:
            result = attempt(self._connection, lambda: self._insert(statements.ALL))
            if not isinstance(result, Refusal):
                return result
        if self._sift():
            result = attempt(self._connection, lambda: self._insert(statements.ALL))
            if not isinstance(result, Refusal):
                return result
        if self._constraints.can_trace:
            return trace_writing(self._connection, self._scratch, self._insertion)
        return self._write_by_halves()

    def _insertion(self, condition: sql.Composable) -> sql.Composed:
        return statements.insert(
            self._scratch, self._table, self._columns, self._key, self._mode, condition
        )

    def _insert(self, condition: sql.Composable) -> tuple[int, int]:
        counts = self._connection.execute(self._insertion(condition)).fetchone()
        assert counts is not None
        return counts[0], counts[1]

    def _sift(self) -> bool:
        """Refuses what the catalogue forbids, as far as it can be said before writing."""
        run = self._connection.execute
        if self._constraints.can_read and self._mode is not WriteMode.UPSERT:
            self._analyze()
            for statement in statements.find_standing(
                self._scratch, self._table, self._columns, self._constraints
            ):
                run(statement)
        if self._constraints.changed_by_trigger:
            return False
        run(statements.refuse_standing(self._scratch))
        unfit = statements.find_unfit(self._scratch, self._columns, self._constraints)
        if unfit is not None:
            # A check that raises an error on some row finds none here: each row is tried.
            attempt(self._connection, lambda: run(unfit))
        ordinals = sql.SQL("SELECT ordinal FROM {}").format(self._scratch.name("refusals"))
        return run(statements.remove(self._scratch, ordinals)).rowcount > 0

    def _analyze(self) -> None:
        ordinal = sql.Identifier(ORDINAL)
        self._connection.execute(sql.SQL("ANALYZE {} ({})").format(self._rows, ordinal))

    def _write_by_halves(self) -> tuple[int, int]:
        ordinal = sql.Identifier(ORDINAL)
        # Without an index each half of what is refused would be searched for in all of it.
        self._connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(self._rows, ordinal))
        counts, refused = bisect(
            self._connection,
            self._ordinals(sql.SQL("SELECT DISTINCT {} FROM {}").format(ordinal, self._rows)),
            lambda low, high: self._insert(
                sql.SQL("{} BETWEEN {} AND {}").format(ordinal, low, high)
            ),
        )
        self._refused += [(refusal, [ordinal]) for ordinal, refusal in refused]
        return counts

    def refusals(self) -> list[tuple[Refusal, list[int]]]:
        """Each reason for a refusal so far, with the ordinals of its candidates."""
        found = self._connection.execute(statements.read_refusals(self._scratch)).fetchall()
        return self._refused + [(Refusal(*row[:4]), row[4]) for row in found]

    def close(self) -> None:
        """Drops the stage, for the next batch of the transaction."""
        self._scratch.close()
