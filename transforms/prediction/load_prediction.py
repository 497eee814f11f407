"""Predicts what a migration does with the rows of a load: counts, violations, parents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.errors import ErrorCode
from schemas.violations import concat_violations, violations_of
from transforms.commit.verdicts import (
    count_by_code,
    distinct,
    first_rows,
    rejected_candidates,
    skipped_candidates,
    without,
)
from transforms.duplicates import competing_keys, loser_finding, losers_of
from transforms.mapping.program import LoadProgram
from transforms.mapping.source_keys import source_keys
from transforms.prediction.candidates import Candidates
from transforms.prediction.predictable import PredictablePart

ACCEPTED, REJECTED, SKIPPED = 0, 1, 2
"""What becomes of a candidate, in the column ``verdict`` (int8) of parents."""

DUPLICATES = "duplicates"
"""The name under which losers of a key are skipped where the load says so."""


class Kind(NamedTuple):
    """A kind of violation, as ``schemas.violations`` has it."""

    code: str
    rule: str
    field: str | None
    reason: str | None
    warning: bool


@dataclass(frozen=True)
class Prediction:
    """Counts of the rows that were looked at.

    ``kinds`` counts rows by kind of violation, ``rejected_by`` rejected rows by code.
    ``parents`` has a row for each candidate: ``source_key`` (string), ``verdict`` (int8),
    and ``out.NAME`` for the columns that children ask for, as far as they are known.
    """

    read: int
    accepted: int
    rejected: int
    skipped_by: Mapping[str, int]
    kinds: Mapping[Kind, int]
    rejected_by: Mapping[ErrorCode, int]
    parents: pa.Table | None

    @property
    def skipped(self) -> int:
        return sum(self.skipped_by.values())


@dataclass
class LoadPredictor:
    """Takes the candidates of a load, partition by partition.

    ``part`` is what they were computed by. ``asked`` are the columns that children ask for;
    without any of them the load is no parent, and its rows aren't kept.
    """

    part: PredictablePart
    asked: Collection[str] = ()
    _partitions: dict[str, _Partition] = field(default_factory=dict)

    @property
    def _program(self) -> LoadProgram:
        return self.part.program

    def add(self, partition_id: str, candidates: Candidates) -> None:
        rows = candidates.rows
        skipped = skipped_candidates(rows)
        violations = without(candidates.violations, _array(skipped))
        if len(rows) != candidates.count:
            violations = distinct(violations)
        keys = parents = None
        if self._program.finds_duplicates and self.part.knows_keys:
            keys = competing_keys(rows, self._program, partition_id)
        if self.asked:
            parents = self._parents(rows, partition_id)
        self._partitions[partition_id] = _Partition(
            candidates.count, skipped, violations, keys, parents
        )

    def _parents(self, rows: pa.RecordBatch, partition_id: str) -> pa.RecordBatch:
        firsts = first_rows(rows)
        columns = {"source_key": source_keys(firsts, self._program, partition_id)}
        for name in self.asked:
            if f"out.{name}" in firsts.schema.names and name not in self.part.unknown:
                columns[f"out.{name}"] = firsts.column(f"out.{name}")
        return pa.RecordBatch.from_pydict(columns)

    def finish(self) -> Prediction:
        """Decides about duplicates, and counts."""
        self._settle_duplicates()
        kinds: Counter[Kind] = Counter()
        skipped_by: Counter[str] = Counter()
        rejected_by: Counter[str] = Counter()
        rejected = read = 0
        parents = []
        for partition in self._partitions.values():
            mask = rejected_candidates(partition.violations, partition.count)
            read += partition.count
            rejected += int(mask.sum())
            skipped_by.update(partition.skipped.values())
            rejected_by.update(count_by_code(partition.violations)[2])
            columns = [partition.violations.column(n).to_pylist() for n in Kind._fields]
            kinds.update(Kind(*kind) for kind in zip(*columns, strict=True))
            if partition.parents is not None:
                verdicts = np.where(mask, REJECTED, ACCEPTED).astype(np.int8)
                verdicts[list(partition.skipped)] = SKIPPED
                parents.append(partition.parents.append_column("verdict", pa.array(verdicts)))
        accepted = read - rejected - sum(skipped_by.values())
        return Prediction(
            read,
            accepted,
            rejected,
            dict(skipped_by),
            dict(kinds),
            {ErrorCode(code): count for code, count in rejected_by.items()},
            pa.Table.from_batches(parents) if parents else None,
        )

    def _settle_duplicates(self) -> None:
        keys = [p.keys for p in self._partitions.values() if p.keys is not None]
        if not keys:
            return
        losers = losers_of(pa.concat_batches(keys), self._program.duplicates.keep)
        places: dict[str, list[int]] = {}
        for partition, ordinal in zip(
            losers.column("partition").to_pylist(),
            losers.column("ordinal").to_pylist(),
            strict=True,
        ):
            places.setdefault(partition, []).append(ordinal)
        for name, ordinals in places.items():
            found = self._partitions[name]
            if self._program.duplicates.losers == "skip":
                found.skipped.update(dict.fromkeys(ordinals, DUPLICATES))
                found.violations = without(found.violations, np.array(ordinals, np.int32))
            else:
                more = violations_of(ordinals, loser_finding(self._program))
                found.violations = concat_violations([found.violations, more])


@dataclass
class _Partition:
    """What is kept of a partition: violations, and of its rows no more than keys."""

    count: int
    skipped: dict[int, str]
    violations: pa.RecordBatch
    keys: pa.RecordBatch | None
    parents: pa.RecordBatch | None


def _array(ordinals: Collection[int]) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.fromiter(ordinals, np.int32, len(ordinals))
