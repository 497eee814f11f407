"""What is kept of a partition beside its rows: violations, keys, skips, open references."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from schemas.sql.expressions import literal
from schemas.violations import ORDINAL
from transforms.keys.candidate_rows import first_rows, numbers
from transforms.keys.key_text import key_text
from transforms.keys.source_keys import source_keys
from transforms.ledger.error_sink import copy_deferred, copy_keys, copy_skipped, copy_violations
from transforms.model.batch import CandidateBatch
from transforms.model.field_program import FieldProgram
from transforms.model.program import LoadProgram
from transforms.model.run_context import RunContext
from transforms.references.check import key_texts
from transforms.references.parent_lookup import comparable
from transforms.sql.duckdb_engine import evaluate_each, one_array, select


class RowRecords:
    """Writes what the control tables keep of the rows of ``batch``, in the caller's transaction."""

    def __init__(
        self, connection: psycopg.Connection[Any], context: RunContext, batch: CandidateBatch
    ) -> None:
        self.connection = connection
        self.context = context
        self.batch = batch
        self.program: LoadProgram = context.programs[batch.partition.load]
        self.rows: pa.RecordBatch = batch.rows
        self.ordinals = numbers(batch.rows.column(ORDINAL))

    def keep_keys(self, written: pa.RecordBatch, skipped: dict[int, str]) -> None:
        """Keeps what children and the second pass ask for: new keys of the rows that are
        ``written``, keys of the candidates that are ``skipped``, open references."""
        program, partition = self.program, self.batch.partition
        if program.generated is not None or program.with_keys:
            firsts = first_rows(written)
            copy_keys(
                self.connection,
                self.context,
                program.name,
                self.source_keys(firsts),
                self._texts_of(firsts, self._recorded_key()),
            )
        if program.with_skips and skipped:
            mask = np.isin(self.ordinals, list(skipped))
            rows = first_rows(self.rows.filter(pa.array(mask)))
            copy_skipped(
                self.connection,
                self.context,
                partition,
                self.source_keys(rows),
                self._texts_of(rows, self._referred_key()),
            )
        deferred = [f for f in program.fields if f.reference is not None and f.reference.deferred]
        if deferred:
            known = [*numbers(written.column(ORDINAL)), *skipped]
            left_out = first_rows(self.rows.filter(pa.array(~np.isin(self.ordinals, known))))
            for field_ in deferred:
                self._keep_deferred(field_, written, True)
                self._keep_deferred(field_, left_out, False)

    def _keep_deferred(self, field_: FieldProgram, rows: pa.RecordBatch, written: bool) -> None:
        """Stores the references of one field that the second pass is to settle."""
        assert field_.reference is not None
        kind = field_.target
        references = (
            rows.column(f"raw.{field_.name}")
            if field_.reference.by_source_key
            else comparable(key_texts(rows.column(f"out.{field_.name}"), kind), kind, kind)
        )
        given = pc.is_valid(references)
        rows = rows.filter(given)
        copy_deferred(
            self.connection,
            self.context,
            self.batch.partition,
            field_.name,
            self.source_keys(rows),
            self._key_columns(rows),
            references.filter(given),
            written,
        )

    def keep_violations(self, violations: pa.RecordBatch) -> None:
        """Keeps violations, each with the keys of its row."""
        self.copy_violations(violations)

    def copy_violations(self, violations: pa.RecordBatch, attempts: pa.Array | None = None) -> None:
        """Adds violations to the error sink; ``attempts`` (int32, 1 without it) is how often each
        row has been judged."""
        if not len(violations):
            return
        if attempts is None:
            attempts = pa.repeat(pa.scalar(1, pa.int32()), len(violations))
        unread = self.batch.unread
        without_row = pc.is_in(violations.column(ORDINAL), value_set=unread.column(ORDINAL))
        judged = violations.filter(pc.invert(without_row))
        rows = self.rows.take(pa.array(self.ordinals.searchsorted(numbers(judged.column(ORDINAL)))))
        copy_violations(
            self.connection,
            self.context,
            self.batch.partition,
            judged,
            self.source_keys(rows),
            self.target_keys(rows),
            attempts.filter(pc.invert(without_row)),
        )
        lost = violations.filter(without_row)
        places = pc.index_in(lost.column(ORDINAL), value_set=unread.column(ORDINAL))
        copy_violations(
            self.connection,
            self.context,
            self.batch.partition,
            lost,
            unread.column("source_key").take(places),
            pa.nulls(len(lost), pa.string()),
            attempts.filter(without_row),
        )

    def source_keys(self, rows: pa.RecordBatch) -> pa.Array:
        """What identifies each row in the source (string)."""
        return source_keys(rows, self.program, self.batch.partition.id)

    def target_keys(self, rows: pa.RecordBatch) -> pa.Array:
        """The key of each row in the target's terms (string); NULL as far as it isn't known."""
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
        """The columns of each row as one text (string); NULL where one of them isn't known."""
        types = self.program.target_columns()
        known = [(f"out.{n}", types[n]) for n in names if f"out.{n}" in rows.schema.names]
        if not known or len(known) < len(names):
            return pa.nulls(len(rows), pa.string())
        if len(known) == 1:
            kind = known[0][1]
            return comparable(key_texts(rows.column(known[0][0]), kind), kind, kind)
        query = select([f"{key_text(known)} AS k"])
        return one_array(evaluate_each(query, rows).column("k"), pa.string())

    def _key_columns(self, rows: pa.RecordBatch) -> pa.Array:
        """The key of each row as a JSON object of texts."""
        types = self.program.target_columns()
        known = [name for name in self.program.key if f"out.{name}" in rows.schema.names]
        pairs = ", ".join(
            f"{literal(name)}, {key_text([(f'out.{name}', types[name])])}" for name in known
        )
        query = select([f"CAST(json_object({pairs}) AS VARCHAR) AS k"])
        return one_array(evaluate_each(query, rows).column("k"), pa.string())
