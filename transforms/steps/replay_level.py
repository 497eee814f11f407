"""ReplayLevel: the rejected rows of all loads of a level, judged and committed again."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.util import WaitOn

from transforms.model.rejected_rows import RejectedLevel, RejectedRows
from transforms.model.run_context import RunContext
from transforms.steps.chained import judging_steps, started, through
from transforms.steps.check_groups import CheckGroups
from transforms.steps.commit_partition import CommitPartitions
from transforms.steps.read_rejected import ReadRejected
from transforms.steps.reject_duplicates import RejectDuplicates
from transforms.steps.report_violations import ended
from transforms.steps.settle_load import SettleLoads


class ReplayLevel(beam.PTransform):
    """PBegin -> PCollection[str] of the loads that are settled again.

    The steps are those of a migration, between another source and another sink. ``after`` is what
    the level above gives; nothing here starts before that is complete.
    """

    def __init__(self, context: RunContext, level: RejectedLevel, after: Any = None) -> None:
        super().__init__(f"Replay{level.number}")
        self.context = context
        self.level = level
        self.after = after

    def expand(self, begin: Any) -> Any:
        context = self.context
        barriers = [] if self.after is None else [self.after]
        rejected = started(begin, "Rejected", self.level.rows, RejectedRows, barriers)
        steps = (
            ReadRejected(context),
            *judging_steps(context, self.level.number),
            CheckGroups(context, replayed=True),
            RejectDuplicates(context, replayed=True),
        )
        batches, failures = through(rejected, steps)
        committed = batches | CommitPartitions(context, replayed=True)
        loads = begin | "Loads" >> beam.Create(list(self.level.loads), reshuffle=False)
        done = ended(context, committed, failures, replayed=True)
        return loads | WaitOn(done) | SettleLoads(context)
