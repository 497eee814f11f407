"""Predicts what a migration does with the rows of a load: counts, violations, parents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.errors import ErrorCode
from schemas.specification.policies import Losers
from schemas.violations import ORDINAL, concat_violations, violations_of
from transforms.commit.verdicts import (
    EXISTING,
    count_by_code,
    distinct,
    rejected_candidates,
    skipped_candidates,
    without,
)
from transforms.compare.duplicates import competing_keys, loser_violation, losers_of
from transforms.compare.equal_keys import add_key_hashes
from transforms.keys.candidate_rows import first_rows, numbers
from transforms.keys.source_keys import source_keys
from transforms.model.field_program import FieldProgram
from transforms.model.program import LoadProgram
from transforms.prediction.predictable import PredictablePart
from transforms.prediction.predicted_candidates import Candidates
from transforms.prediction.predicted_references import (
    ACCEPTED,
    REJECTED,
    SKIPPED,
    OpenField,
    SelfReferences,
)
from transforms.prediction.target_refusals import RefusedCandidates, TargetRefusals
from transforms.references.check import key_texts
from transforms.references.parent_lookup import comparable

DUPLICATES = "duplicates"
"""The name under which losers of a key are skipped where the load says so."""

Standing = Callable[[FieldProgram, Collection[str]], Collection[str]]
"""Which of the keys that a field refers to stood in the target before the job."""


class ViolationKind(NamedTuple):
    """A kind of violation, as ``schemas.violations`` has it."""

    code: str
    rule: str
    field: str | None
    reason: str | None
    warning: bool


@dataclass(frozen=True)
class Prediction:
    """Counts of the rows that were looked at, as the ledger will have them.

    ``kinds`` counts candidates by kind of violation, ``rejected_by`` rejected candidates by code.
    ``parents`` has a row for each candidate: ``source_key`` (string), ``verdict`` (int8),
    and ``out.NAME`` for the columns that children ask for, as far as they are known.
    """

    read: int
    empty: int
    candidates: int
    accepted: int
    rejected: int
    expanded: int
    skipped_by: Mapping[str, int]
    kinds: Mapping[ViolationKind, int]
    rejected_by: Mapping[ErrorCode, int]
    parents: pa.Table | None

    @property
    def skipped(self) -> int:
        return sum(self.skipped_by.values())


@dataclass
class LoadPredictor:
    """Takes the candidates of a load, partition by partition.

    Args:
        part: What they were computed by.
        asked: The columns that children ask for; without any of them the load is no parent, and
            its rows aren't kept.
        refusals: What the target refuses, where it can be asked.
        settled: The fields whose references to the load itself are settled at the end; only where
            all of its rows are added.
        standing: Which keys stood in the target before the job.
    """

    part: PredictablePart
    asked: Collection[str] = ()
    refusals: TargetRefusals | None = None
    settled: Collection[FieldProgram] = ()
    standing: Standing = lambda _, __: ()
    _partitions: dict[str, _Partition] = field(default_factory=dict)

    @property
    def _program(self) -> LoadProgram:
        return self.part.program

    def add(self, partition_id: str, candidates: Candidates) -> None:
        rows = candidates.rows
        skipped = skipped_candidates(rows)
        violations = without(candidates.violations, _array(skipped))
        each = None
        if len(rows) != candidates.count:
            violations = distinct(violations)
            each = np.bincount(numbers(rows.column(ORDINAL)), minlength=candidates.count)
        keys = parents = refused = None
        if self._program.finds_duplicates and self.part.knows_keys:
            keys = competing_keys(self._with_hashes(rows), self._program, partition_id)
        if self.asked:
            parents = self._parents(rows, partition_id)
        if self.refusals is not None:
            left_out = rejected_candidates(violations, candidates.count)
            left_out[list(skipped)] = True
            refused = self.refusals.of(rows.filter(pa.array(~left_out[_ordinals(rows)])))
        self._partitions[partition_id] = _Partition(
            candidates.read,
            candidates.empty,
            candidates.count,
            skipped,
            violations,
            each,
            keys,
            parents,
            refused,
            self._references(rows, partition_id) if self.settled else None,
        )

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

    def _references(self, rows: pa.RecordBatch, partition_id: str) -> pa.RecordBatch:
        """For each candidate its key, and what each settled field refers to, as text."""
        firsts = first_rows(rows)
        columns = {ORDINAL: firsts.column(ORDINAL)}
        for one in self.settled:
            assert one.reference is not None
            name = one.name
            if one.reference.by_source_key:
                columns[f"key.{name}"] = source_keys(firsts, self._program, partition_id)
                columns[f"ref.{name}"] = firsts.column(f"out.{name}")
                continue
            parent = self._program.target_columns()[one.reference.column]
            key = firsts.column(f"out.{one.reference.column}")
            columns[f"key.{name}"] = comparable(key_texts(key, parent), parent, parent)
            kind, values = one.target, firsts.column(f"out.{name}")
            columns[f"ref.{name}"] = comparable(key_texts(values, kind), kind, kind)
        return pa.RecordBatch.from_pydict(columns)

    def finish(self) -> Prediction:
        """Decides about duplicates, the target's refusals and settled references, and counts."""
        self._settle_duplicates()
        self._refuse()
        self._settle_references()
        kinds: Counter[ViolationKind] = Counter()
        skipped_by: Counter[str] = Counter()
        rejected_by: Counter[str] = Counter()
        rejected = expanded = 0
        parents = []
        for partition in self._partitions.values():
            verdicts = partition.verdicts()
            rejected += int((verdicts == REJECTED).sum())
            skipped_by.update(partition.skipped.values())
            rejected_by.update(count_by_code(partition.violations)[2])
            columns = [partition.violations.column(n).to_pylist() for n in ViolationKind._fields]
            kinds.update(ViolationKind(*kind) for kind in zip(*columns, strict=True))
            if partition.each is not None:
                expanded += int((partition.each[verdicts == ACCEPTED] - 1).sum())
            if partition.parents is not None:
                of_rows = verdicts[_ordinals(partition.parents)]
                parents.append(partition.parents.append_column("verdict", pa.array(of_rows)))
        candidates = sum(p.count for p in self._partitions.values())
        return Prediction(
            sum(p.read for p in self._partitions.values()),
            sum(p.empty for p in self._partitions.values()),
            candidates,
            candidates - rejected - sum(skipped_by.values()),
            rejected,
            expanded,
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
            partition = self._partitions[name]
            if self._program.duplicates.losers is Losers.SKIP:
                partition.skip(dict.fromkeys(ordinals, DUPLICATES))
            else:
                more = violations_of(ordinals, loser_violation(self._program))
                partition.violations = concat_violations([partition.violations, more])

    def _refuse(self) -> None:
        """Takes in what the target refuses of the candidates that nothing else has rejected."""
        for partition in self._partitions.values():
            if partition.refused is None:
                continue
            left_out = np.flatnonzero(partition.verdicts() != ACCEPTED).astype(np.int32)
            refused = without(partition.refused.violations, left_out)
            gone = set(left_out.tolist())
            partition.violations = concat_violations([partition.violations, refused])
            partition.skip({o: EXISTING for o in partition.refused.existing if o not in gone})

    def _settle_references(self) -> None:
        if not self.settled:
            return
        partitions = list(self._partitions.values())
        starts = np.cumsum([0, *(p.count for p in partitions)])
        verdicts = np.concatenate([p.verdicts() for p in partitions] or [np.zeros(0, np.int8)])
        # All of them refer to the same rows, by target key or by source key.
        for by_source_key in (False, True):
            fields = [
                f
                for f in self.settled
                if f.reference and f.reference.by_source_key is by_source_key
            ]
            if not fields:
                continue
            opened = [self._opened(one, starts, verdicts) for one in fields]
            keys = self._keys(fields[0].name, starts, opened)
            settling = SelfReferences(keys, verdicts, opened)
            settling.settle()
            self._take_in(settling, starts)

    def _opened(
        self, one: FieldProgram, starts: npt.NDArray[np.int64], verdicts: npt.NDArray[np.int8]
    ) -> OpenField:
        references: dict[int, str] = {}
        for start, partition in zip(starts, self._partitions.values(), strict=False):
            assert partition.references is not None
            places = start + _ordinals(partition.references)
            texts = partition.references.column(f"ref.{one.name}").to_pylist()
            references |= {
                place: key
                for place, key in zip(places.tolist(), texts, strict=True)
                if key is not None and verdicts[place] != SKIPPED
            }
        standing = set(self.standing(one, set(references.values())))
        return OpenField(one, references, standing.__contains__)

    def _keys(
        self, name: str, starts: npt.NDArray[np.int64], opened: Collection[OpenField]
    ) -> list[str | None]:
        """The keys of candidates, those alone to which something refers."""
        wanted = {key for one in opened for key in one.references.values()}
        keys: list[str | None] = [None] * int(starts[-1])
        for start, partition in zip(starts, self._partitions.values(), strict=False):
            assert partition.references is not None
            places = start + _ordinals(partition.references)
            texts = partition.references.column(f"key.{name}").to_pylist()
            for place, key in zip(places.tolist(), texts, strict=True):
                if key in wanted:
                    keys[place] = key
        return keys

    def _take_in(self, settled: SelfReferences, starts: npt.NDArray[np.int64]) -> None:
        partitions = list(self._partitions.values())
        for violation, places in settled.found:
            for number, ordinals in _by_partition(places, starts).items():
                more = violations_of(ordinals, violation)
                partition = partitions[number]
                partition.violations = concat_violations([partition.violations, more])
        for number, ordinals in _by_partition(settled.skipped, starts).items():
            named = {o: settled.skipped[int(starts[number]) + o] for o in ordinals}
            partitions[number].skip(named)


@dataclass
class _Partition:
    """What is kept of a partition: violations, and of its rows no more than keys.

    ``each`` says how many rows each candidate has, where that isn't one.
    """

    read: int
    empty: int
    count: int
    skipped: dict[int, str]
    violations: pa.RecordBatch
    each: npt.NDArray[np.int64] | None
    keys: pa.RecordBatch | None
    parents: pa.RecordBatch | None
    refused: RefusedCandidates | None
    references: pa.RecordBatch | None

    def skip(self, names: Mapping[int, str]) -> None:
        """Skips candidates, whose violations don't count any more."""
        self.skipped.update(names)
        self.violations = without(self.violations, _array(names))

    def verdicts(self) -> npt.NDArray[np.int8]:
        mask = rejected_candidates(self.violations, self.count)
        verdicts = np.where(mask, REJECTED, ACCEPTED).astype(np.int8)
        verdicts[list(self.skipped)] = SKIPPED
        return verdicts


def _by_partition(places: Collection[int], starts: npt.NDArray[np.int64]) -> dict[int, list[int]]:
    """The ordinals of candidates that are numbered through, by the number of their partition."""
    found: dict[int, list[int]] = {}
    for place in places:
        number = int(np.searchsorted(starts, place, side="right")) - 1
        found.setdefault(number, []).append(place - int(starts[number]))
    return found


def _ordinals(rows: pa.RecordBatch) -> npt.NDArray[np.int32]:
    return numbers(rows.column(ORDINAL))


def _array(ordinals: Collection[int]) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.fromiter(ordinals, np.int32, len(ordinals))
