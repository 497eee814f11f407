"""RejectDuplicates: the candidates that lost their key, as the pass before the load found."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from transforms.batch import CandidateBatch
from transforms.commit.ledger import stored_losers
from transforms.connection_pool import target_pool
from transforms.duplicates import reject_losers
from transforms.outputs import FailedPartition
from transforms.partition_step import PartitionStep, StepTransform


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _RejectDuplicates(PartitionStep[CandidateBatch, CandidateBatch]):
    """Asks which rows of the partition lost."""

    talks = True

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        if not program.finds_duplicates:
            yield element
            return
        with target_pool(self.context).lent() as target:
            losers = stored_losers(target, self.context, element.partition)
        if not losers:
            yield element
            return
        yield element.having(*reject_losers(element.rows, program, losers, element.partition.id))


class RejectDuplicates(StepTransform):
    """CandidateBatch -> CandidateBatch with the losers of duplicate keys marked."""

    dofn = _RejectDuplicates
