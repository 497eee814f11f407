"""CommitPartition: the sink. What it emits, it emits after the commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import psycopg
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from schemas.errors import Category, ErrorCode
from transforms.commit.partition_transaction import CommittedPartition, commit_partition
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import COMMITTED, ROW_CATEGORIES, CommittedViolations
from transforms.model.run_context import RunContext
from transforms.postgres.connection_pool import target_pool
from transforms.steps.partition_step import PartitionStep, declare_types
from transforms.steps.worker_events import log_committed

Commit = Callable[[psycopg.Connection[Any], RunContext, CandidateBatch], CommittedPartition]


@declare_types(
    CandidateBatch,
    CommittedPartition,
    data=CommittedViolations,
    transformation=CommittedViolations,
)
class _CommitPartition(PartitionStep[CandidateBatch, CommittedPartition]):
    """Commits a batch, then emits what was committed."""

    talks = True

    def __init__(self, context: RunContext, commit: Commit) -> None:
        super().__init__(context)
        self.commit = commit

    def step(self, element: CandidateBatch) -> Iterator[CommittedPartition | TaggedOutput]:
        begun = time.monotonic()
        with target_pool(self.context).lent() as target:
            committed = self.commit(target, self.context, element)
        log_committed(self.context, committed, time.monotonic() - begun)
        yield committed
        for category in ROW_CATEGORIES:
            violations = _of_category(committed.violations, category)
            if len(violations):
                committed_violations = CommittedViolations(element.partition, category, violations)
                yield TaggedOutput(category.value, committed_violations)


class CommitPartitions(beam.PTransform):
    """CandidateBatch -> CommittedPartition, and a tagged output for each error category."""

    def __init__(self, context: RunContext, commit: Commit = commit_partition) -> None:
        super().__init__()
        self.context = context
        self.commit = commit

    def expand(self, batches: beam.PCollection[CandidateBatch]) -> Any:
        step = _CommitPartition(self.context, self.commit)
        tags = [category.value for category in Category]
        return batches | beam.ParDo(step).with_outputs(*tags, main=COMMITTED)


def _of_category(violations: pa.RecordBatch, category: Category) -> pa.RecordBatch:
    codes = [code.value for code in ErrorCode if code.category is category]
    return violations.filter(
        pa.compute.is_in(violations.column("code"), value_set=pa.array(codes, pa.string()))
    )
