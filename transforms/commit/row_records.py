"""The records of a partition beside its rows: violations, keys, skips, deferred references."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.sql.expressions import literal
from schemas.violations import ORDINAL
from transforms.keys.candidate_rows import first_rows, numbers
from transforms.keys.key_text import key_text
from transforms.keys.source_keys import source_keys
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.batch import CandidateBatch
from transforms.model.field_program import FieldProgram
from transforms.model.program import LoadProgram
from transforms.references.check import key_texts
from transforms.references.parent_lookup import comparable
from transforms.sql.duckdb_engine import evaluate_each, one_array, select


class RowRecords:
    """Adds to the control tables what they keep of a batch, in the caller's transaction.

    Attributes:
        ledger: The run's.
        batch: A partition, or rejected rows of one.
        program: That of its load.
        rows: Its rows.
        ordinals: The candidate of each row.
    """

    def __init__(self, ledger: WorkerLedger, batch: CandidateBatch) -> None:
        self.ledger = ledger
        self.batch = batch
        self.program: LoadProgram = ledger.context.programs[batch.partition.load]
        self.rows: pa.RecordBatch = batch.rows
        self.ordinals = numbers(batch.rows.column(ORDINAL))

    def keep_keys(self, written: pa.RecordBatch, skipped: dict[int, str]) -> None:
        """Add what children and the second pass look up.

        Args:
            written: The rows that were written; their keys are added.
            skipped: The name of the skip of each skipped candidate, by ordinal; their keys are
                added. Rows that were neither written nor skipped may have deferred references.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        program, partition = self.program, self.batch.partition
        if program.generated is not None or program.with_keys:
            firsts = first_rows(written)
            self.ledger.keys.add(
                program.name,
                self.source_keys(firsts),
                self._texts_of(firsts, self._recorded_key()),
            )
        if program.with_skips and skipped:
            mask = np.isin(self.ordinals, list(skipped))
            rows = first_rows(self.rows.filter(pa.array(mask)))
            self.ledger.skipped.add(
                partition,
                self.source_keys(rows),
                self._texts_of(rows, self._referred_key()),
            )
        deferred = [f for f in program.fields if f.reference is not None and f.reference.deferred]
        if deferred:
            decided = [*numbers(written.column(ORDINAL)), *skipped]
            left_out = first_rows(self.rows.filter(pa.array(~np.isin(self.ordinals, decided))))
            for field_ in deferred:
                self._keep_deferred(field_, written, True)
                self._keep_deferred(field_, left_out, False)

    def _keep_deferred(self, field_: FieldProgram, rows: pa.RecordBatch, written: bool) -> None:
        """Add the references of one field that the second pass has to settle."""
        assert field_.reference is not None
        kind = field_.target
        references = (
            rows.column(f"raw.{field_.name}")
            if field_.reference.by_source_key
            else comparable(key_texts(rows.column(f"out.{field_.name}"), kind), kind, kind)
        )
        is_set = pc.is_valid(references)
        rows = rows.filter(is_set)
        self.ledger.deferred.add(
            self.batch.partition,
            field_.name,
            self.source_keys(rows),
            self._key_columns(rows),
            references.filter(is_set),
            written,
        )

    def keep_violations(self, violations: pa.RecordBatch) -> None:
        """Add violations (as in ``schemas.violations``), each with the keys of its row."""
        self.copy_violations(violations)

    def copy_violations(self, violations: pa.RecordBatch, attempts: pa.Array | None = None) -> None:
        """Add violations to the error sink.

        Args:
            violations: As in ``schemas.violations``.
            attempts: How often each one's row has been tried (int32); None for once.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        if not len(violations):
            return
        if attempts is None:
            attempts = pa.repeat(pa.scalar(1, pa.int32()), len(violations))
        unread = self.batch.unread
        without_row = pc.is_in(violations.column(ORDINAL), value_set=unread.column(ORDINAL))
        judged = violations.filter(pc.invert(without_row))
        rows = self.rows.take(pa.array(self.ordinals.searchsorted(numbers(judged.column(ORDINAL)))))
        self.ledger.violations.add(
            self.program,
            self.batch.partition.id,
            judged,
            self.source_keys(rows),
            self.target_keys(rows),
            attempts.filter(pc.invert(without_row)),
        )
        lost = violations.filter(without_row)
        places = pc.index_in(lost.column(ORDINAL), value_set=unread.column(ORDINAL))
        self.ledger.violations.add(
            self.program,
            self.batch.partition.id,
            lost,
            unread.column("source_key").take(places),
            pa.nulls(len(lost), pa.string()),
            attempts.filter(without_row),
        )

    def source_keys(self, rows: pa.RecordBatch) -> pa.Array:
        """The source key of each row (text)."""
        return source_keys(rows, self.program, self.batch.partition.id)

    def target_keys(self, rows: pa.RecordBatch) -> pa.Array:
        """The target key of each row (text); NULL as far as it isn't known."""
        return self._texts_of(rows, self.program.key)

    def _recorded_key(self) -> tuple[str, ...]:
        """The columns that ``migration_keys`` records: the generated one, or the key."""
        generated = self.program.generated
        return self.program.key if generated is None else (generated.name,)

    def _referred_key(self) -> tuple[str, ...]:
        """The columns that children refer to: the key, or the generated one in its place."""
        key, generated = self.program.key, self.program.generated
        if generated is None or (len(key) == 1 and generated.name not in key):
            return key
        return (generated.name,)

    def _texts_of(self, rows: pa.RecordBatch, names: tuple[str, ...]) -> pa.Array:
        """The columns of each row as one text; NULL if one of them isn't known."""
        types = self.program.target_columns()
        columns = [(f"out.{n}", types[n]) for n in names if f"out.{n}" in rows.schema.names]
        if not columns or len(columns) < len(names):
            return pa.nulls(len(rows), pa.string())
        if len(columns) == 1:
            kind = columns[0][1]
            return comparable(key_texts(rows.column(columns[0][0]), kind), kind, kind)
        query = select([f"{key_text(columns)} AS k"])
        return one_array(evaluate_each(query, rows).column("k"), pa.string())

    def _key_columns(self, rows: pa.RecordBatch) -> pa.Array:
        """The key of each row as a JSON object of texts."""
        types = self.program.target_columns()
        names = [name for name in self.program.key if f"out.{name}" in rows.schema.names]
        pairs = ", ".join(
            f"{literal(name)}, {key_text([(f'out.{name}', types[name])])}" for name in names
        )
        query = select([f"CAST(json_object({pairs}) AS VARCHAR) AS k"])
        return one_array(evaluate_each(query, rows).column("k"), pa.string())
