"""LoadLevel: all loads that need only what the levels above have committed, in one transform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.util import WaitOn

from transforms.check_references import CheckReferences
from transforms.commit.partition_transaction import CommittedPartition
from transforms.commit_partition import CommitPartitions
from transforms.derive_fields import DeriveFields
from transforms.find_duplicates import FindDuplicates
from transforms.level import Level
from transforms.map_fields import MapFields
from transforms.outputs import PARTITION_CATEGORIES, ROW_CATEGORIES
from transforms.partitions.partition import Partition
from transforms.read_partition import ReadPartitions
from transforms.reject_duplicates import RejectDuplicates
from transforms.report_violations import CountViolations, RecordFailures
from transforms.run_context import RunContext
from transforms.settle_load import SettleLoads
from transforms.translate_codes import TranslateCodes
from transforms.validate_rows import ValidateRows


class LoadLevel(beam.PTransform):
    """PBegin -> PCollection[str] of the loads that are settled.

    The graph has as many steps for three hundred tables as for one: a load is data, its
    program is looked up by name. ``after`` is what the level above gives; nothing here
    starts before that is complete.
    """

    def __init__(self, context: RunContext, level: Level, after: Any = None) -> None:
        super().__init__(f"Level{level.number}")
        self.context = context
        self.level = level
        self.after = after

    def expand(self, begin: Any) -> Any:
        context, level = self.context, self.level
        failures: list[Any] = []
        barriers = [] if self.after is None else [self.after]
        if level.deduplicated:
            competing = self._started(begin, "Competing", level.deduplicated, barriers)
            found, failed = competing | FindDuplicates(
                context, level.number, *_sizes(level.deduplicated)
            )
            failures += failed
            barriers = [found]
        batches = self._started(begin, "Partitions", level.partitions, barriers)
        for step in (
            ReadPartitions(context),
            MapFields(context),
            TranslateCodes(context),
            DeriveFields(context),
            CheckReferences(context, level.number),
            ValidateRows(context),
            RejectDuplicates(context),
        ):
            outputs = batches | step
            batches = outputs.rows
            failures += [outputs[category.value] for category in PARTITION_CATEGORIES]
        committed = batches | CommitPartitions(context)
        done = [committed.committed | "Committed" >> beam.Map(_load_of).with_output_types(str)]
        done += [committed[c.value] | CountViolations(c) for c in ROW_CATEGORIES]
        failures += [committed[category.value] for category in PARTITION_CATEGORIES]
        recorded = tuple(failures) | "Failures" >> beam.Flatten() | RecordFailures(context)
        # One collection to wait for: each costs a step of its own.
        ended = (*done, recorded) | "Ended" >> beam.Flatten()
        loads = begin | "Loads" >> beam.Create(list(level.loads), reshuffle=False)
        return loads | WaitOn(ended) | SettleLoads(context)

    def _started(
        self, begin: Any, name: str, partitions: Sequence[Partition], barriers: Sequence[Any]
    ) -> Any:
        started = begin | name >> beam.Create(list(partitions), reshuffle=False).with_output_types(
            Partition
        )
        if barriers:
            started = started | f"{name}Wait" >> WaitOn(*barriers)
        return started | f"{name}Reshuffle" >> beam.Reshuffle()


def _load_of(element: CommittedPartition) -> str:
    return element.partition.load


def _sizes(partitions: Sequence[Partition]) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The number of partitions of each load, and of their rows."""
    counts: dict[str, int] = {}
    rows: dict[str, int] = {}
    for partition in partitions:
        counts[partition.load] = counts.get(partition.load, 0) + 1
        rows[partition.load] = rows.get(partition.load, 0) + partition.rows
    return counts, rows
