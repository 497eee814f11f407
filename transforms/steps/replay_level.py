"""ReplayLevel: the rejected rows of all loads of a level, judged and committed again."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.util import WaitOn

from transforms.commit.replay_transaction import commit_replay
from transforms.ledger.partition_progress import PartitionProgress
from transforms.model.rejected_rows import RejectedLevel, RejectedRows
from transforms.model.run_context import RunContext
from transforms.steps.chained import chain_steps, create_elements, judging_steps
from transforms.steps.check_groups import CheckReplayedGroups
from transforms.steps.commit_partition import CommitPartitions
from transforms.steps.read_rejected import ReadRejected
from transforms.steps.reject_duplicates import RejectReplayedDuplicates
from transforms.steps.report_violations import RecordFailures, report_outputs
from transforms.steps.settle_load import SettleLoads


class ReplayLevel(beam.PTransform):
    """PBegin -> PCollection[str] of the loads that are settled again.

    The steps are those of a migration, between another source and another sink. ``after`` is the
    output of the level above; nothing here starts before that is complete.
    """

    def __init__(self, context: RunContext, level: RejectedLevel, after: Any = None) -> None:
        super().__init__(f"Replay{level.number}")
        self.context = context
        self.level = level
        self.after = after

    def expand(self, begin: Any) -> Any:
        context = self.context
        barriers = [] if self.after is None else [self.after]
        rejected = create_elements(begin, "Rejected", self.level.rows, RejectedRows, barriers)
        steps = (
            ReadRejected(context),
            *judging_steps(context, self.level.number),
            CheckReplayedGroups(context),
            RejectReplayedDuplicates(context),
        )
        batches, failures = chain_steps(rejected, steps)
        committed = batches | CommitPartitions(context, commit_replay)
        loads = begin | "Loads" >> beam.Create(list(self.level.loads), reshuffle=False)
        recorder = RecordFailures(context, PartitionProgress.record_replay_failure)
        done = report_outputs(committed, failures, recorder)
        return loads | WaitOn(done) | SettleLoads(context)
