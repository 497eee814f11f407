"""CommitPartition: the sink. What it emits, it emits after the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import psycopg
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from schemas.errors import Category, ErrorCode
from transforms.commit.partition_transaction import CommittedPartition, commit_partition
from transforms.commit.replay_transaction import commit_replay
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import (
    COMMITTED,
    ROW_CATEGORIES,
    CommittedViolations,
    FailedPartition,
)
from transforms.model.run_context import RunContext
from transforms.postgres.connection_pool import target_pool
from transforms.steps.partition_step import PartitionStep

Commit = Callable[[psycopg.Connection[Any], RunContext, CandidateBatch], CommittedPartition]


@with_output_types(
    CommittedPartition,
    data=CommittedViolations,
    transformation=CommittedViolations,
    connection=FailedPartition,
    system=FailedPartition,
    user=FailedPartition,
)
class _CommitPartition(PartitionStep[CandidateBatch, CommittedPartition]):
    """Commits a batch, then emits what was committed."""

    talks = True

    def __init__(self, context: RunContext, commit: Commit) -> None:
        super().__init__(context)
        self.commit = commit

    def step(self, element: CandidateBatch) -> Iterator[CommittedPartition | TaggedOutput]:
        with target_pool(self.context).lent() as target:
            committed = self.commit(target, self.context, element)
        yield committed
        for category in ROW_CATEGORIES:
            violations = _of_category(committed.violations, category)
            if len(violations):
                told = CommittedViolations(element.partition, category, violations)
                yield TaggedOutput(category.value, told)


class CommitPartitions(beam.PTransform):
    """CandidateBatch -> CommittedPartition, and a tagged output for each error category.

    ``replayed``: the batches are rejected rows of partitions that were committed before.
    """

    def __init__(self, context: RunContext, replayed: bool = False) -> None:
        super().__init__()
        self.context = context
        self.commit: Commit = commit_replay if replayed else commit_partition

    def expand(self, batches: beam.PCollection[CandidateBatch]) -> Any:
        tags = [category.value for category in Category]
        return batches | beam.ParDo(_CommitPartition(self.context, self.commit)).with_outputs(
            *tags, main=COMMITTED
        )


def _of_category(violations: pa.RecordBatch, category: Category) -> pa.RecordBatch:
    codes = [code.value for code in ErrorCode if code.category is category]
    return violations.filter(
        pa.compute.is_in(violations.column("code"), value_set=pa.array(codes, pa.string()))
    )
