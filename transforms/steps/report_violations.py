"""Consumes the tagged outputs: counts violations of rows, and records failed partitions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.typehints import with_output_types

from schemas.errors import Category, ErrorCode
from transforms.commit.partition_transaction import CommittedPartition
from transforms.ledger.partition_progress import PartitionProgress
from transforms.ledger.worker_ledger import lend_ledger
from transforms.model.log_event import EventPlace, log_event
from transforms.model.outputs import (
    PARTITION_CATEGORIES,
    ROW_CATEGORIES,
    CommittedViolations,
    FailedPartition,
)
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.steps.partition_step import attempt
from transforms.steps.worker_events import log_failed

Record = Callable[[PartitionProgress, Partition, ErrorCode, str], None]

logger = logging.getLogger("transfuse.steps")


@with_output_types(str)
class _CountViolations(beam.DoFn):
    def process(self, element: CommittedViolations) -> Iterator[str]:
        codes = Counter(element.violations.column("code").to_pylist())
        for code, count in sorted(codes.items()):
            Metrics.counter("transfuse", f"{element.partition.load}/{code}").inc(count)
            partition = element.partition
            place = EventPlace(load=partition.load, partition=partition.id)
            text = f"{count} violations committed"
            log_event(logger, logging.DEBUG, text, place, ErrorCode(code), count=count)
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
    def __init__(self, context: RunContext, record: Record) -> None:
        super().__init__()
        self.context = context
        self.record = record

    def process(self, element: FailedPartition) -> Iterator[str]:
        Metrics.counter("transfuse", f"{element.partition.load}/{element.code.value}").inc()
        place = element.partition.place
        log_failed(self.context, element.partition, element.code, element.message)
        # If that fails, the partition stays planned, so the run ends as incomplete all the same.
        load, failure = element.partition.load, f"the failure of {place} couldn't be recorded"
        attempt(self.context, load, failure, lambda: self._record(element))
        yield load

    def _record(self, element: FailedPartition) -> None:
        with lend_ledger(self.context) as ledger:
            self.record(ledger.partitions, element.partition, element.code, element.message)


class RecordFailures(beam.PTransform[beam.PCollection[FailedPartition], beam.PCollection[str]]):
    """FailedPartition -> its load, once the ledger has the failure."""

    def __init__(
        self, context: RunContext, record: Record = PartitionProgress.record_failure
    ) -> None:
        super().__init__()
        self.context = context
        self.record = record

    def expand(self, failures: beam.PCollection[FailedPartition]) -> beam.PCollection[str]:
        return failures | beam.ParDo(_RecordFailure(self.context, self.record))


def report_outputs(committed: Any, failures: Sequence[Any], recorder: RecordFailures) -> Any:
    """Count the violations of rows, and record the partitions that failed.

    Args:
        committed: the outputs of ``CommitPartitions``.
        failures: PCollections of FailedPartition, of other steps.
        recorder: the transform that records failures.

    Returns:
        PCollection[str] of loads, which is complete once everything is counted and recorded.
    """
    done = [committed.committed | "Committed" >> beam.Map(_load_of).with_output_types(str)]
    done += [committed[c.value] | CountViolations(c) for c in ROW_CATEGORIES]
    failed = [*failures, *(committed[category.value] for category in PARTITION_CATEGORIES)]
    recorded = tuple(failed) | "Failures" >> beam.Flatten() | recorder
    # One collection to wait for: each costs a step of its own.
    return (*done, recorded) | "Ended" >> beam.Flatten()


def _load_of(element: CommittedPartition) -> str:
    return element.partition.load
