"""RejectDuplicates: the candidates that lost their key, as the pass before the load found."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from transforms.compare.duplicates import AddHashes, reject_losers, still_losing
from transforms.compare.equal_keys import add_key_hashes, hashed_columns
from transforms.keys.source_keys import source_keys
from transforms.ledger.findings import stored_losers, unreleased_claims
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import FailedPartition
from transforms.model.program import LoadProgram
from transforms.postgres.connection_pool import target_pool
from transforms.steps.partition_step import PartitionStep, StepTransform


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _RejectDuplicates(PartitionStep[CandidateBatch, CandidateBatch]):
    """Asks which rows of the partition lost."""

    talks = True

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        losers = self.losers(element, program) if program.finds_duplicates else {}
        if losers:
            partition = element.partition.id
            marked = reject_losers(element.rows, program, losers, partition, self.hashed(program))
            yield element.having(*marked)
        else:
            yield element

    def hashed(self, program: LoadProgram) -> AddHashes:
        """Adds the target's hashes of keys to rows, for the loads that need them."""

        def add(rows: pa.RecordBatch) -> pa.RecordBatch:
            if not hashed_columns(program):
                return rows
            with target_pool(self.context).lent() as target:
                return add_key_hashes(rows, program, target)

        return add

    def losers(self, element: CandidateBatch, program: LoadProgram) -> dict[int, str]:
        """The ordinals that lost, with what they claimed."""
        del program
        with target_pool(self.context).lent() as target:
            return stored_losers(target, self.context, element.partition)


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _RejectFormerLosers(_RejectDuplicates):
    """Asks which rows lost when they were read first, and claim the same as then.

    Not those that are released: the rows before them were discarded or have other keys.
    """

    def losers(self, element: CandidateBatch, program: LoadProgram) -> dict[int, str]:
        keys = source_keys(element.rows, program, element.partition.id)
        with target_pool(self.context).lent() as target:
            claims = unreleased_claims(target, self.context, element.partition, keys)
        return still_losing(element.rows, program, keys, claims, self.hashed(program))


class RejectDuplicates(StepTransform):
    """CandidateBatch -> CandidateBatch with the losers of duplicate keys marked."""

    dofn = _RejectDuplicates
    dofn_of_replays = _RejectFormerLosers
