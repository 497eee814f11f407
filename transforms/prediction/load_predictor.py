"""Predicts what a migration does with the rows of a load, partition by partition."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from schemas.specification.policies import Losers
from schemas.violations import ORDINAL
from transforms.commit.verdicts import (
    EXISTING,
    distinct,
    rejected_candidates,
    skipped_candidates,
    without,
)
from transforms.compare.duplicates import competing_keys, loser_violation, losers_of
from transforms.compare.equal_keys import add_key_hashes
from transforms.keys.candidate_rows import first_rows
from transforms.keys.source_keys import source_keys
from transforms.model.field_program import FieldProgram
from transforms.model.program import LoadProgram
from transforms.prediction.load_prediction import Prediction, count_candidates
from transforms.prediction.predictable import PredictablePart
from transforms.prediction.predicted_candidates import Candidates
from transforms.prediction.predicted_partition import (
    PredictedPartition,
    ordinal_array,
    ordinals_of,
)
from transforms.prediction.predicted_references import ACCEPTED
from transforms.prediction.settled_references import (
    ExistingKeys,
    reference_keys,
    settle_references,
)
from transforms.prediction.target_refusals import RefusedCandidates, TargetRefusals

DUPLICATES = "duplicates"
"""The name under which losers of a key are skipped where the load says so."""


@dataclass
class LoadPredictor:
    """Takes the candidates of a load, partition by partition.

    Args:
        part: the part of the load that the candidates were computed by.
        asked: the columns that children ask for; without any of them the load is no parent, and
            its rows aren't kept.
        refusals: asks the target for candidates that it refuses, where that is possible.
        settled: the fields whose references to the load itself are settled at the end; only where
            all of its rows are added.
        existing_keys: asks for keys that the target had before the job.
    """

    part: PredictablePart
    asked: Collection[str] = ()
    refusals: TargetRefusals | None = None
    settled: Collection[FieldProgram] = ()
    existing_keys: ExistingKeys = lambda _, __: ()
    _partitions: dict[str, PredictedPartition] = field(default_factory=dict)

    @property
    def _program(self) -> LoadProgram:
        return self.part.program

    def add(self, partition_id: str, candidates: Candidates) -> None:
        """Adds the candidates of a partition.

        Raises:
            psycopg.Error: the target can't be asked for refusals.
        """
        rows = candidates.rows
        skipped = skipped_candidates(rows)
        violations = without(candidates.violations, ordinal_array(skipped))
        row_counts = None
        if len(rows) != candidates.count:
            violations = distinct(violations)
            row_counts = np.bincount(ordinals_of(rows), minlength=candidates.count)
        keys = None
        if self._program.finds_duplicates and self.part.knows_keys:
            keys = competing_keys(self._with_hashes(rows), self._program, partition_id)
        references = None
        if self.settled:
            references = reference_keys(rows, self._program, self.settled, partition_id)
        self._partitions[partition_id] = PredictedPartition(
            read=candidates.read,
            empty=candidates.empty,
            count=candidates.count,
            skipped=skipped,
            violations=violations,
            row_counts=row_counts,
            keys=keys,
            parents=self._parents(rows, partition_id) if self.asked else None,
            refused=self._ask_refusals(rows, violations, skipped, candidates.count),
            references=references,
        )

    def finish(self) -> Prediction:
        """Decides about duplicates, the target's refusals and settled references, and counts."""
        self._decide_duplicates()
        self._apply_refusals()
        partitions = list(self._partitions.values())
        if self.settled:
            settle_references(partitions, self.settled, self.existing_keys)
        return count_candidates(partitions)

    def _with_hashes(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        if self.refusals is None:
            return rows
        return add_key_hashes(rows, self._program, self.refusals.connection)

    def _parents(self, rows: pa.RecordBatch, partition_id: str) -> pa.RecordBatch:
        firsts = first_rows(rows)
        columns = {
            ORDINAL: firsts.column(ORDINAL),
            "source_key": source_keys(firsts, self._program, partition_id),
        }
        for name in self.asked:
            if f"out.{name}" in firsts.schema.names and name not in self.part.unknown:
                columns[f"out.{name}"] = firsts.column(f"out.{name}")
        return pa.RecordBatch.from_pydict(columns)

    def _ask_refusals(
        self,
        rows: pa.RecordBatch,
        violations: pa.RecordBatch,
        skipped: Collection[int],
        count: int,
    ) -> RefusedCandidates | None:
        """The refusals of candidates that are neither rejected nor skipped."""
        if self.refusals is None:
            return None
        left_out = rejected_candidates(violations, count)
        left_out[list(skipped)] = True
        return self.refusals.of(rows.filter(pa.array(~left_out[ordinals_of(rows)])))

    def _decide_duplicates(self) -> None:
        keys = [p.keys for p in self._partitions.values() if p.keys is not None]
        if not keys:
            return
        losers = losers_of(pa.concat_batches(keys), self._program.duplicates.keep)
        places: dict[str, list[int]] = {}
        for partition_id, ordinal in zip(
            losers.column("partition").to_pylist(),
            losers.column("ordinal").to_pylist(),
            strict=True,
        ):
            places.setdefault(partition_id, []).append(ordinal)
        for partition_id, ordinals in places.items():
            partition = self._partitions[partition_id]
            if self._program.duplicates.losers is Losers.SKIP:
                partition.skip(dict.fromkeys(ordinals, DUPLICATES))
            else:
                partition.reject(ordinals, loser_violation(self._program))

    def _apply_refusals(self) -> None:
        """Applies the target's refusals to candidates that nothing else has rejected."""
        for partition in self._partitions.values():
            if partition.refused is None:
                continue
            left_out = np.flatnonzero(partition.verdicts() != ACCEPTED).astype(np.int32)
            partition.add_violations(without(partition.refused.violations, left_out))
            gone = set(left_out.tolist())
            partition.skip({o: EXISTING for o in partition.refused.existing if o not in gone})
