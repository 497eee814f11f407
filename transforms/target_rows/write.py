"""Writing a batch into its target table, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from schemas.catalog import Column, Relation
from schemas.specification.policies import WriteMode
from schemas.violations import (
    ORDINAL,
    concat_violations,
    no_violations,
    rejected_ordinals,
    violations_of,
)
from transforms.ledger.write_marks import WriteMarks
from transforms.postgres.copy_encoding import copy_format
from transforms.target_rows.batch_shape import order_rows
from transforms.target_rows.blame import (
    Proof,
    TargetErrors,
    raise_if_no_row_is_to_blame,
    raise_if_statement_is_to_blame,
)
from transforms.target_rows.constraints import (
    TargetConstraints,
    read_constraints,
    violations_of_errors,
)
from transforms.target_rows.copy_in import copy_in
from transforms.target_rows.halves import (
    RowsDropped,
    attempt,
    bisect_batch,
    select_candidate,
    try_out,
)
from transforms.target_rows.scratch_tables import ScratchTables
from transforms.target_rows.stage import Stage
from transforms.target_rows.stage_checks import Repeats
from transforms.target_rows.staged_insertion import StagedInsertion
from transforms.target_rows.target_errors import TargetError
from transforms.target_rows.transaction_entry import join_transaction
from transforms.target_rows.trigger_watch import (
    TriggerWatch,
    read_settings,
    restore_settings,
    watch_triggers,
)
from transforms.target_rows.unstorable import find_unstorable
from transforms.target_rows.watched_write import write_watched
from transforms.target_rows.write_outcome import WriteOutcome, distinct

__all__ = ["TargetWriter", "WriteOutcome"]


class TargetWriter:
    """Writes batches into ``columns`` of ``table``; the other columns get their defaults.

    No trigger of ``table`` may take rows out of it or out of ``tables``.

    Args:
        table: the target.
        columns: the columns that are written.
        key: the columns of the key. An upsert needs a unique key on exactly these.
        mode: what becomes of a row whose key an existing row has.
        scratch_schema: as in ``ScratchTables``. A role that may make no tables at all can only
            insert, and not ``sole``.
        sole: of an insert, whether rows are refused whose key an existing row or an earlier row
            has, though no unique index forbids it.
        proof: as in ``raise_if_no_row_is_to_blame``.
        tables: further tables of the job.
        marks: get the subtransactions that write.

    Raises:
        ValueError: a column or a key isn't there.
    """

    def __init__(
        self,
        table: Relation,
        columns: Sequence[str],
        key: Sequence[str],
        mode: WriteMode,
        scratch_schema: str | None = None,
        sole: bool = False,
        proof: Proof | None = None,
        tables: Sequence[Relation] = (),
        marks: WriteMarks | None = None,
    ) -> None:
        self._tables = tables
        self._table = table
        self._marks = marks
        self._columns = tuple(_column(table, name) for name in columns)
        self._key = tuple(_column(table, name).name for name in key)
        self._mode = mode
        self._scratch_schema = scratch_schema
        self._proof = proof
        self._sole = sole and self._mode is WriteMode.INSERT
        if (self._sole or self._mode is not WriteMode.INSERT) and not (
            self._key and {c.name for c in self._columns}.issuperset(self._key)
        ):
            raise ValueError(f"{self._mode.value} needs a key among the columns it writes")
        self._format = copy_format([c.type for c in self._columns])
        self._schema = pa.schema(
            [pa.field(ORDINAL, pa.int32())]
            + [pa.field(c.name, c.type.arrow) for c in self._columns]
        )
        self._constraints: TargetConstraints | None = None
        self._watch: TriggerWatch | None = None

    def write(self, connection: psycopg.Connection, rows: pa.RecordBatch) -> WriteOutcome:
        """Write every row that the server takes, and find the reason for each of the others.

        The rows of one ordinal, a candidate, are written all or none. Of rows that exclude each
        other the first in the order of the ordinals is written. Deferred constraints are checked
        here, and are immediate from then on to the end of the transaction. A row that another row
        of the batch makes possible, such as the one it refers to, is sure to be written only if
        that one is of the same candidate or comes before it. Settings that triggers change are
        set back.

        Where existing keys are skipped, a candidate is left out if an existing row
        has one of its keys when its turn comes, be it from an earlier candidate of the batch.
        In an upsert a second row with the same key is refused.

        Args:
            connection: the target, in a transaction.
            rows: ``_ordinal`` (int32, no NULL) and the columns by name, each in its
                ``ColumnType.arrow``.

        Returns:
            The outcome. Codes of violations: DATA-001 NOT NULL, DATA-002 foreign key, DATA-003 a
            value, DATA-004 unique or exclusion constraint, TRANS-004 CHECK constraint, a trigger
            that raises an error or drops the row, takes another row away, gives it another key or
            has later rows unchecked, and any other error that concerns this row and not others.

        Raises:
            psycopg.Error: no row is to blame; the caller has to roll the transaction back.
            ValueError: the batch doesn't have this shape, no transaction is open on an autocommit
                connection, or its encoding isn't UTF8.
        """
        if not rows.num_rows:
            return WriteOutcome(0, 0, no_violations(), pa.array([], pa.int32()))
        rows = order_rows(rows, self._schema)
        join_transaction(connection)
        unstorable = find_unstorable(rows, self._columns)
        if unstorable.num_rows:
            refused = pc.is_in(rows.column(ORDINAL), value_set=rejected_ordinals(unstorable))
            rows = rows.filter(pc.invert(refused))
        self._watch = watch_triggers(connection, self._table, self._tables)
        settings = read_settings(connection) if self._watch else {}
        outcome = self._write_storable(connection, rows)
        if settings:
            restore_settings(connection, settings)
        violations = distinct(concat_violations([unstorable, outcome.refused]))
        return WriteOutcome(outcome.written, outcome.inserted, violations, outcome.existing)

    def _write_storable(
        self, connection: psycopg.Connection, rows: pa.RecordBatch, others_pass: bool = False
    ) -> WriteOutcome:
        hopeless = False
        # Which keys a COPY has written nobody knows.
        if self._mode is WriteMode.INSERT and not self._sole and not self._watch:
            result = attempt(connection, lambda: self._copy(connection, rows))
            if not isinstance(result, TargetError):
                return WriteOutcome(*result, no_violations(), pa.array([], pa.int32()))
            empty = try_out(connection, lambda: self._copy(connection, rows.slice(0, 0)))
            raise_if_statement_is_to_blame(empty, [result.sqlstate])
            hopeless = True
        constraints = self._read_constraints(connection)
        scratch = ScratchTables(connection, self._scratch_schema)
        if self._mode is WriteMode.INSERT and not self._sole and not scratch.possible:
            return self._write_by_halves(connection, rows)
        return self._write_staged(connection, scratch, constraints, rows, hopeless, others_pass)

    def _write_by_halves(
        self, connection: psycopg.Connection, rows: pa.RecordBatch
    ) -> WriteOutcome:
        counts, errors = bisect_batch(
            connection, rows, lambda part: self._copy_watched(connection, part)
        )
        refused = [(error, [ordinal]) for ordinal, error in errors]

        def copy_one(ordinal: int | None) -> TargetError | None:
            part = rows.slice(0, 0) if ordinal is None else select_candidate(rows, ordinal)
            return try_out(connection, lambda: self._copy(connection, part))

        self._blame_rows(refused, counts[0] > 0, copy_one)
        violations = self._violations(connection, refused)
        return WriteOutcome(*counts, violations, pa.array([], pa.int32()))

    def _copy(self, connection: psycopg.Connection, rows: pa.RecordBatch) -> tuple[int, int]:
        names = [c.name for c in self._columns]
        count = copy_in(connection, self._table.sql, names, rows.select(names), self._format)
        if count != len(rows):
            raise RowsDropped
        if self._marks is not None:
            self._marks.add(connection, count, count)
        return count, count

    def _copy_watched(
        self, connection: psycopg.Connection, rows: pa.RecordBatch
    ) -> tuple[int, int]:
        if self._watch is None:
            return self._copy(connection, rows)
        return write_watched(
            connection, self._watch, lambda: self._copy(connection, rows), marks=self._marks
        )

    def _blame_rows(
        self,
        refused: TargetErrors,
        others_pass: bool,
        write_one: Callable[[int | None], TargetError | None],
    ) -> None:
        if not others_pass:
            raise_if_no_row_is_to_blame(refused, write_one, self._proof)

    def _write_staged(
        self,
        connection: psycopg.Connection,
        scratch: ScratchTables,
        constraints: TargetConstraints,
        rows: pa.RecordBatch,
        hopeless: bool,
        others_pass: bool,
    ) -> WriteOutcome:
        insertion = StagedInsertion(
            *(connection, scratch, self._table, self._columns, self._key, self._mode, constraints),
            self._watch,
            self._marks,
        )
        stage = Stage(insertion)
        complete = stage.fill(rows)
        existing: list[int] = []
        repeated: list[int] = []
        if self._mode is WriteMode.SKIP_EXISTING:
            existing = stage.leave_out_existing()
            if constraints.key_name(self._key) is None:
                repeated = stage.leave_out_repeated()
            else:
                stage.refuse_repeated(Repeats.OWN)
        elif self._mode is WriteMode.UPSERT:
            stage.refuse_repeated(Repeats.ANY)
        elif self._sole:
            stage.refuse_existing()
            stage.refuse_repeated(Repeats.ANY)
        counts = stage.write(hopeless and complete)
        refused = stage.refusals_before_writing() + stage.refusals_in_writing()
        others_pass = others_pass or counts[0] > 0
        self._blame_rows(refused, others_pass, stage.try_one)
        if self._mode is WriteMode.SKIP_EXISTING:
            met = {o for error, ordinals in refused if self._is_of_key(error) for o in ordinals}
            # Written since the comparison: by an earlier candidate, or another transaction.
            late = met.intersection(stage.find_existing()) if met else set()
            refused = [(r, [o for o in ordinals if o not in late]) for r, ordinals in refused]
            existing = sorted(late.union(existing))
        stage.close()
        violations = self._violations(connection, refused)
        outcome = WriteOutcome(*counts, violations, pa.array(existing, pa.int32()))
        if repeated:
            later = pc.is_in(rows.column(ORDINAL), value_set=pa.array(repeated, pa.int32()))
            outcome += self._write_storable(connection, rows.filter(later), others_pass)
        return outcome

    def _is_of_key(self, error: TargetError) -> bool:
        assert self._constraints is not None
        columns = self._constraints.columns_of.get(error.constraint or "", ())
        return error.sqlstate == "23505" and set(columns) == set(self._key)

    def _violations(self, connection: psycopg.Connection, refused: TargetErrors) -> pa.RecordBatch:
        assert self._constraints is not None
        reasons = [error for error, _ in refused]
        names = [c.name for c in self._columns]
        violations = violations_of_errors(
            connection, self._table, names, self._constraints, reasons
        )
        return concat_violations(
            violations_of(ordinals, violation)
            for violation, (_, ordinals) in zip(violations, refused, strict=True)
        )

    def _read_constraints(self, connection: psycopg.Connection) -> TargetConstraints:
        if self._constraints is None:
            names = [c.name for c in self._columns]
            self._constraints = read_constraints(connection, self._table, names)
        return self._constraints


def _column(table: Relation, name: str) -> Column:
    column = table.column(name)
    if column is None:
        raise ValueError(f"{table} has no column {name!r}")
    return column
