"""LoadLevel: all loads that need only what the levels above have committed, in one transform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.util import WaitOn

from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.steps.chained import chain_steps, create_elements, judging_steps
from transforms.steps.check_groups import CheckGroups
from transforms.steps.commit_partition import CommitPartitions
from transforms.steps.compare_rows import CompareRows
from transforms.steps.level import Level
from transforms.steps.read_partition import ReadPartitions
from transforms.steps.reject_duplicates import RejectDuplicates
from transforms.steps.report_violations import RecordFailures, report_outputs
from transforms.steps.settle_load import SettleLoads


class LoadLevel(beam.PTransform):
    """PBegin -> PCollection[str] of the loads that are settled.

    The graph has as many steps for three hundred tables as for one: a load is data, its
    program is looked up by name. ``after`` is the output of the level above;
    nothing here starts before that is complete.
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
        if level.compared:
            competing = create_elements(begin, "Competing", level.compared, Partition, barriers)
            compared, failed = competing | CompareRows(
                context, level.number, *_sizes(level.compared)
            )
            failures += failed
            barriers = [compared]
        partitions = create_elements(begin, "Partitions", level.partitions, Partition, barriers)
        steps = (
            ReadPartitions(context),
            *judging_steps(context, level.number),
            CheckGroups(context),
            RejectDuplicates(context),
        )
        batches, failed = chain_steps(partitions, steps)
        failures += failed
        committed = batches | CommitPartitions(context)
        loads = begin | "Loads" >> beam.Create(list(level.loads), reshuffle=False)
        done = report_outputs(committed, failures, RecordFailures(context))
        return loads | WaitOn(done) | SettleLoads(context)


def _sizes(partitions: Sequence[Partition]) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The number of partitions of each load, and of their rows."""
    counts: dict[str, int] = {}
    rows: dict[str, int] = {}
    for partition in partitions:
        counts[partition.load] = counts.get(partition.load, 0) + 1
        rows[partition.load] = rows.get(partition.load, 0) + partition.rows
    return counts, rows
