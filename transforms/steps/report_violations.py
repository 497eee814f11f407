"""The consumers of the tagged outputs: counters for rows, the ledger for failed partitions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.typehints import with_output_types

from schemas.errors import Category
from transforms.commit.partition_transaction import CommittedPartition
from transforms.ledger.worker_ledger import lend_ledger
from transforms.model.outputs import (
    PARTITION_CATEGORIES,
    ROW_CATEGORIES,
    CommittedViolations,
    FailedPartition,
)
from transforms.model.run_context import RunContext
from transforms.steps.partition_step import succeeds

logger = logging.getLogger("transfuse")


@with_output_types(str)
class _CountViolations(beam.DoFn):
    def process(self, element: CommittedViolations) -> Iterator[str]:
        codes = Counter(element.violations.column("code").to_pylist())
        for code, count in sorted(codes.items()):
            Metrics.counter("transfuse", f"{element.partition.load}/{code}").inc(count)
            logger.debug(
                "%s partition %s: %d x %s",
                element.partition.load,
                element.partition.id,
                count,
                code,
            )
        yield element.partition.load


class CountViolations(
    beam.PTransform[beam.PCollection[CommittedViolations], beam.PCollection[str]]
):
    """CommittedViolations of one category -> their loads; counts them by load and code.

    The counters ``transfuse:LOAD/CODE`` are Beam metrics of the run.
    """

    def __init__(self, category: Category) -> None:
        super().__init__(f"Count{category.value.capitalize()}Violations")

    def expand(self, violations: beam.PCollection[CommittedViolations]) -> beam.PCollection[str]:
        return violations | beam.ParDo(_CountViolations())


@with_output_types(str)
class _RecordFailure(beam.DoFn):
    def __init__(self, context: RunContext, replayed: bool) -> None:
        super().__init__()
        self.context = context
        self.replayed = replayed

    def process(self, element: FailedPartition) -> Iterator[str]:
        Metrics.counter("transfuse", f"{element.partition.load}/{element.code.value}").inc()
        place = element.partition.place
        logger.error("%s %s: %s", element.code.value, place, element.message)
        # A partition that stays planned ends the run as incomplete all the same.
        load, told = element.partition.load, f"the failure of {place} couldn't be recorded"
        succeeds(self.context, load, told, lambda: self._record(element))
        yield load

    def _record(self, element: FailedPartition) -> None:
        with lend_ledger(self.context) as ledger:
            partitions = ledger.partitions
            failure = (element.partition, element.code, element.message)
            if self.replayed:
                partitions.record_replay_failure(*failure)
            else:
                partitions.record_failure(*failure)


class RecordFailures(beam.PTransform[beam.PCollection[FailedPartition], beam.PCollection[str]]):
    """FailedPartition -> its load, once the ledger has the failure: of a partition that has failed,
    or of one whose rejected rows are left (``replayed``)."""

    def __init__(self, context: RunContext, replayed: bool) -> None:
        super().__init__()
        self.context = context
        self.replayed = replayed

    def expand(self, failures: beam.PCollection[FailedPartition]) -> beam.PCollection[str]:
        return failures | beam.ParDo(_RecordFailure(self.context, self.replayed))


def ended(
    context: RunContext, committed: Any, failures: Sequence[Any], replayed: bool = False
) -> Any:
    """PCollection[str] of loads, complete when all that ``committed`` and ``failures`` hold is
    counted and recorded.

    ``committed`` are the outputs of ``CommitPartitions``, ``failures`` those of other steps.
    """
    done = [committed.committed | "Committed" >> beam.Map(_load_of).with_output_types(str)]
    done += [committed[c.value] | CountViolations(c) for c in ROW_CATEGORIES]
    failed = [*failures, *(committed[category.value] for category in PARTITION_CATEGORIES)]
    recorded = tuple(failed) | "Failures" >> beam.Flatten() | RecordFailures(context, replayed)
    # One collection to wait for: each costs a step of its own.
    return (*done, recorded) | "Ended" >> beam.Flatten()


def _load_of(element: CommittedPartition) -> str:
    return element.partition.load
