"""Writes the accepted candidates of a batch and records all others, in one transaction."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.catalog import Relation
from schemas.errors import ErrorCode
from schemas.specification.policies import WriteMode
from schemas.violations import ORDINAL, Violation, concat_violations, violations_of
from transforms.commit.row_records import RowRecords
from transforms.commit.verdicts import (
    EXISTING,
    count_by_code,
    distinct,
    rejected_candidates,
    skipped_candidates,
    without,
)
from transforms.keys.candidate_rows import numbers
from transforms.ledger.counts import Counts
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.ledger.write_marks import WriteMarks, WrittenAs
from transforms.model.batch import CandidateBatch
from transforms.model.field_origins import SOURCE_KEY
from transforms.references.check import HOLD, key_texts, typed_keys
from transforms.references.generated_keys import generate_keys
from transforms.references.placeholders import make_placeholders
from transforms.sql.duckdb_engine import with_column
from transforms.target_rows.blame import Proof
from transforms.target_rows.trigger_watch import read_settings, restore_settings
from transforms.target_rows.write import TargetWriter, WriteOutcome


def write_candidates(
    ledger: WorkerLedger,
    batch: CandidateBatch,
    records: RowRecords,
    proof: Proof,
    only_new: pa.Array | None = None,
) -> tuple[Counts, pa.RecordBatch]:
    """Write the accepted candidates, and record all others.

    Args:
        ledger: The run's, in a transaction.
        batch: A partition, or rejected rows of one.
        records: Keeps what accompanies the rows.
        proof: See ``raise_if_no_row_is_to_blame``.
        only_new: In a replay, the ordinals (int32) whose rows are inserted or refused, whatever
            the load does with existing keys.

    Returns:
        The counts, and all violations.

    Raises:
        psycopg.Error: The server can't be reached, or refuses for a reason that isn't in the rows.
    """
    return _Write(ledger, batch, records, proof, only_new).run()


class _Write:
    def __init__(
        self,
        ledger: WorkerLedger,
        batch: CandidateBatch,
        records: RowRecords,
        proof: Proof,
        only_new: pa.Array | None,
    ) -> None:
        self.proof = proof
        self.only_new = only_new
        self.ledger = ledger
        self.connection = ledger.connection
        self.context = ledger.context
        self.batch = batch
        self.records = records
        self.program = self.records.program
        self.rows = batch.rows
        self.ordinals = self.records.ordinals
        self.candidates = batch.candidates

    def run(self) -> tuple[Counts, pa.RecordBatch]:
        skipped = skipped_candidates(self.rows)
        violations = without(self.batch.violations, np.fromiter(skipped, np.int32, len(skipped)))
        rejected = rejected_candidates(violations, self.candidates)
        dropped = rejected.copy()
        dropped[list(skipped)] = True
        accepted = self.rows.select(self._columns_to_write()).filter(
            pa.array(~dropped[self.ordinals])
        )
        accepted, placeholders, orphans = self._with_placeholders(accepted)
        accepted = self._with_generated_key(accepted)
        outcome = self._write(self._target_rows(accepted))
        violations = concat_violations([violations, orphans, outcome.refused])
        # A skipped row has no violations, not even the warnings of one that would be written.
        violations = without(violations, outcome.existing.to_numpy())
        for ordinal in outcome.existing.to_pylist():
            skipped[ordinal] = EXISTING
        rejected = rejected_candidates(violations, self.candidates)
        left_out = rejected.copy()
        left_out[list(skipped)] = True
        written = accepted
        if len(outcome.refused) or len(outcome.existing):
            written = accepted.filter(pa.array(~left_out[numbers(accepted.column(ORDINAL))]))
        self.records.keep_keys(written, skipped)
        if len(self.rows) > self.candidates - len(self.batch.unread):
            # Several rows of one candidate may have the same violation.
            violations = distinct(violations)
        self.records.keep_violations(violations)
        sent = len(written)
        count = self.candidates - int(left_out.sum())
        codes, warned, by_code = count_by_code(violations)
        return (
            Counts(
                read=self.batch.read,
                empty=self.batch.empty,
                candidates=self.candidates,
                accepted=count,
                rejected=int(rejected.sum()),
                skipped=len(skipped),
                written=outcome.written,
                inserted=outcome.inserted,
                expanded=sent - count,
                placeholders=placeholders,
                skipped_by=dict(Counter(skipped.values())),
                violations=codes,
                warnings=warned,
                rejected_by=by_code,
            ),
            violations,
        )

    def _columns_to_write(self) -> list[str]:
        """The columns that rows are written from; filtering others would be wasted."""
        prefixes = ("out.", "raw.", HOLD)
        source = {f"src.{name}" for name in self.program.source_key} | {"src.ctid", SOURCE_KEY}
        return [
            name
            for name in self.rows.schema.names
            if name == ORDINAL or name in source or name.startswith(prefixes)
        ]

    def _write(self, rows: pa.RecordBatch) -> WriteOutcome:
        mode = self.program.write
        if self.only_new is None:
            return self._writer(mode).write(self.connection, rows)
        new = pc.is_in(rows.column(ORDINAL), value_set=self.only_new)
        first = self._writer(mode).write(self.connection, rows.filter(pc.invert(new)))
        return first + self._writer(WriteMode.INSERT).write(self.connection, rows.filter(new))

    def _writer(self, mode: WriteMode) -> TargetWriter:
        program = self.program
        columns = list(program.target_columns())
        sole = mode is WriteMode.INSERT and self._may_meet_others()
        return TargetWriter(
            program.table,
            columns,
            program.key,
            mode,
            self.context.control_schema,
            sole,
            self.proof,
            [of.table for of in self.context.programs.values()],
            self._marks(program.table, WrittenAs.ROWS),
        )

    def _marks(self, table: Relation, written_as: WrittenAs) -> WriteMarks:
        partition = self.batch.partition
        return self.ledger.written_rows.new_marks(partition.load, partition.id, table, written_as)

    def _may_meet_others(self) -> bool:
        """Whether the target may have a row with the same key that no unique index finds.

        It may be older than the job, of another load, or in a replay of the load itself.
        """
        program = self.program
        if not program.key or any(
            {*unique} <= {*program.key} for unique in program.table.unique_keys
        ):
            return False
        if self.only_new is not None:
            return True
        return self.ledger.loads.shares_table(program)

    def _target_rows(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows as the writer takes them; deferred references are NULL at first."""
        columns = {ORDINAL: rows.column(ORDINAL)}
        deferred = {
            f.name for f in self.program.fields if f.reference is not None and f.reference.deferred
        }
        for name, kind in self.program.target_columns().items():
            columns[name] = (
                pa.nulls(len(rows), kind.arrow) if name in deferred else rows.column(f"out.{name}")
            )
        return pa.RecordBatch.from_pydict(columns)

    def _with_placeholders(
        self, rows: pa.RecordBatch
    ) -> tuple[pa.RecordBatch, dict[str, int], pa.RecordBatch]:
        """Make placeholders: the rows that have theirs, counts by load, violations of others."""
        made: Counter[str] = Counter()
        orphans = []
        for field_ in self.program.fields:
            reference = field_.reference
            if reference is None or f"{HOLD}{field_.name}" not in rows.schema.names:
                continue
            hold = rows.column(f"{HOLD}{field_.name}")
            values = rows.column(f"out.{field_.name}")
            keys = (
                rows.column(f"raw.{field_.name}")
                if reference.by_source_key
                else key_texts(values, field_.target)
            )
            # Triggers of the parent's table fire as well.
            settings = read_settings(self.connection) if hold.true_count else {}
            count, targets = make_placeholders(
                *(self.ledger, reference, keys.filter(hold)),
                self._marks(reference.table, WrittenAs.PLACEHOLDERS),
            )
            if settings:
                restore_settings(self.connection, settings)
            made[reference.parents[0]] += count
            if reference.by_source_key:
                filled = pc.replace_with_mask(values, hold, typed_keys(targets, field_.target))
                rows = with_column(rows, f"out.{field_.name}", filled)
            lost = rows.column(ORDINAL).filter(hold).filter(pc.is_null(targets))
            violation = Violation(
                ErrorCode.DATA_002, f"{field_.name}.ref", field_.name, "missing_parent"
            )
            orphans.append(violations_of(lost, violation))
            rows = rows.filter(pc.invert(pc.is_in(rows.column(ORDINAL), value_set=lost)))
        counts = {load: count for load, count in made.items() if count}
        return rows, counts, concat_violations(orphans)

    def _with_generated_key(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """One new key a candidate, or a row where the generated column is the whole key."""
        key = self.program.generated
        if key is None:
            return rows
        ordinals = numbers(rows.column(ORDINAL))
        each_row = self.program.key == (key.name,)
        _, first, places = np.unique(ordinals, return_index=True, return_inverse=True)
        names = self.records.source_keys(rows)
        if each_row and len(first) != len(ordinals):
            names = _number_names(names, np.arange(len(ordinals)) - first[places])
        if each_row:
            first = places = np.arange(len(ordinals))
        keys = generate_keys(
            self.ledger,
            self.program.name,
            self.program.table,
            key,
            names.take(pa.array(first)),
        ).take(pa.array(places))
        return with_column(rows, f"out.{key.name}", typed_keys(keys, key.target))


def _number_names(names: pa.Array, within: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    """The names, with the number of the row for a candidate's further rows."""
    texts = [
        name if position == 0 else f"{name}#{position}"
        for name, position in zip(names.to_pylist(), list(within), strict=True)
    ]
    return pa.array(texts, pa.string())
