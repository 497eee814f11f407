"""ReadRejected: from rejected rows to their candidates, as the source has them today."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput

from transforms.ledger.worker_ledger import lend_ledger
from transforms.mapping.stages import prepare
from transforms.model.batch import CandidateBatch
from transforms.model.partition import Partition
from transforms.model.rejected_rows import PORTION, RejectedRows
from transforms.steps.partition_step import StepTransform, declare_types
from transforms.steps.source_step import SourceStep
from transforms.steps.worker_events import log_read


@declare_types(RejectedRows, CandidateBatch)
class _ReadRejected(SourceStep[RejectedRows, CandidateBatch]):
    """RejectedRows -> CandidateBatch with the columns that ``ReadPartition`` gives, one for each
    PORTION of the rows.

    Every row is a candidate of the batch. One that the source doesn't have any more, or whose
    source key stands for several rows now, has a violation and no row. Where loads that the rows
    refer to couldn't be settled, or the job has been started again since, there is no batch, and
    the rows stay as they are.
    """

    def step(self, element: RejectedRows) -> Iterator[CandidateBatch | TaggedOutput]:
        partition = element.partition
        with lend_ledger(self.context) as ledger:
            if not ledger.loads.may_replay(partition.load):
                return
            keys = ledger.violations.read_rejected_keys(element)
        log_read(self.context, partition)
        for start in range(0, len(keys), PORTION):
            yield self._read(partition, keys[start : start + PORTION])

    def _read(self, partition: Partition, source_keys: list[str]) -> CandidateBatch:
        program = self.context.programs[partition.load]
        source = self.rows_of(
            program, lambda reader: reader.rows_with(program, source_keys, partition)
        )
        rows, violations = prepare(source, program, partition.id)
        return CandidateBatch(
            partition, rows, violations, source.count, 0, source.count, source.unread
        )


class ReadRejected(StepTransform):
    """PCollection[RejectedRows] -> CandidateBatch."""

    dofn = _ReadRejected
