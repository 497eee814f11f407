"""The prediction for a load: its counts, violations by kind, and rows as parents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from schemas.errors import ErrorCode
from transforms.commit.verdicts import count_by_code
from transforms.prediction.predicted_partition import PredictedPartition, ordinals_of
from transforms.prediction.predicted_references import ACCEPTED, REJECTED


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

    Attributes:
        read: rows of the source.
        empty: rows of the source that gave no candidate.
        candidates: rows that could become target rows.
        accepted: candidates that are written.
        rejected: candidates with a violation.
        expanded: further rows that clusters of codes give accepted candidates.
        skipped_by: skipped candidates by the name of the skip.
        kinds: candidates by kind of violation.
        rejected_by: rejected candidates by code.
        parents: a row for each candidate, with ``source_key`` (string), ``verdict`` (int8), and
            ``out.NAME`` for the columns that children ask for and that can be predicted.
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


def count_candidates(partitions: Collection[PredictedPartition]) -> Prediction:
    """Counts the candidates of partitions about which everything is decided.

    Args:
        partitions: all partitions of a load that were looked at.
    """
    kinds: Counter[ViolationKind] = Counter()
    skipped_by: Counter[str] = Counter()
    rejected_by: Counter[str] = Counter()
    rejected = expanded = 0
    parents = []
    for partition in partitions:
        verdicts = partition.verdicts()
        rejected += int((verdicts == REJECTED).sum())
        skipped_by.update(partition.skipped.values())
        rejected_by.update(count_by_code(partition.violations)[2])
        columns = [partition.violations.column(n).to_pylist() for n in ViolationKind._fields]
        kinds.update(ViolationKind(*kind) for kind in zip(*columns, strict=True))
        if partition.row_counts is not None:
            expanded += int((partition.row_counts[verdicts == ACCEPTED] - 1).sum())
        if partition.parents is not None:
            of_rows = verdicts[ordinals_of(partition.parents)]
            parents.append(partition.parents.append_column("verdict", pa.array(of_rows)))
    candidates = sum(p.count for p in partitions)
    return Prediction(
        read=sum(p.read for p in partitions),
        empty=sum(p.empty for p in partitions),
        candidates=candidates,
        accepted=candidates - rejected - sum(skipped_by.values()),
        rejected=rejected,
        expanded=expanded,
        skipped_by=dict(skipped_by),
        kinds=dict(kinds),
        rejected_by={ErrorCode(code): count for code, count in rejected_by.items()},
        parents=pa.Table.from_batches(parents) if parents else None,
    )
