"""A partition whose candidates are predicted: violations, and of its rows no more than keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.violations import ORDINAL, Violation, concat_violations, violations_of
from transforms.commit.verdicts import rejected_candidates, without
from transforms.keys.candidate_rows import numbers
from transforms.prediction.predicted_references import ACCEPTED, REJECTED, SKIPPED
from transforms.prediction.target_refusals import RefusedCandidates


@dataclass
class PredictedPartition:
    """A partition until everything about its candidates is decided.

    Attributes:
        read: rows of the source.
        empty: rows of the source that gave no candidate.
        count: candidates.
        skipped: the skip of each skipped candidate, by ordinal.
        violations: the violations of the others (VIOLATION_SCHEMA).
        row_counts: how many rows each candidate has; None for one each.
        keys: the candidates that compete for a key, as ``competing_keys`` gives them.
        parents: the columns of each candidate that children ask for.
        refused: the candidates that the target refuses.
        references: for each candidate its key and the keys that it refers to, as
            ``reference_keys`` gives them.
    """

    read: int
    empty: int
    count: int
    skipped: dict[int, str]
    violations: pa.RecordBatch
    row_counts: npt.NDArray[np.int64] | None
    keys: pa.RecordBatch | None
    parents: pa.RecordBatch | None
    refused: RefusedCandidates | None
    references: pa.RecordBatch | None

    def skip(self, names: Mapping[int, str]) -> None:
        """Skips candidates (the skip by ordinal), whose violations don't count any more."""
        self.skipped.update(names)
        self.violations = without(self.violations, ordinal_array(names))

    def reject(self, ordinals: Collection[int], violation: Violation) -> None:
        """Adds a violation of candidates."""
        self.add_violations(violations_of(list(ordinals), violation))

    def add_violations(self, violations: pa.RecordBatch) -> None:
        """Adds violations (VIOLATION_SCHEMA)."""
        self.violations = concat_violations([self.violations, violations])

    def verdicts(self) -> npt.NDArray[np.int8]:
        """The verdict on each candidate."""
        mask = rejected_candidates(self.violations, self.count)
        verdicts = np.where(mask, REJECTED, ACCEPTED).astype(np.int8)
        verdicts[list(self.skipped)] = SKIPPED
        return verdicts


def ordinals_of(rows: pa.RecordBatch) -> npt.NDArray[np.int32]:
    """The candidate of each row."""
    return numbers(rows.column(ORDINAL))


def ordinal_array(ordinals: Collection[int]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Ordinals as an array."""
    return np.fromiter(ordinals, np.int32, len(ordinals))
