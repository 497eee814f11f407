"""RejectDuplicates: rejects candidates that lost their key, which ``compare_rows`` stored."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from transforms.compare.duplicates import AddHashes, reject_losers, still_losing
from transforms.compare.equal_keys import add_key_hashes, hashed_columns
from transforms.keys.source_keys import source_keys
from transforms.ledger.worker_ledger import lend_ledger
from transforms.model.batch import CandidateBatch
from transforms.model.program import LoadProgram
from transforms.postgres.connection_pool import target_pool
from transforms.steps.partition_step import PartitionStep, StepTransform, declare_types


@declare_types(CandidateBatch, CandidateBatch)
class _RejectDuplicates(PartitionStep[CandidateBatch, CandidateBatch]):
    """Rejects the rows that the pass before the load stored as losers."""

    talks = True

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        losers = self.losers(element, program) if program.finds_duplicates else {}
        if losers:
            partition = element.partition.id
            marked = reject_losers(
                element.rows, program, losers, partition, self.key_hasher(program)
            )
            yield element.having(*marked)
        else:
            yield element

    def key_hasher(self, program: LoadProgram) -> AddHashes:
        """A function that adds the target's hashes of keys to rows, where the load needs them."""

        def add(rows: pa.RecordBatch) -> pa.RecordBatch:
            if not hashed_columns(program):
                return rows
            with target_pool(self.context).lent() as target:
                return add_key_hashes(rows, program, target)

        return add

    def losers(self, element: CandidateBatch, program: LoadProgram) -> dict[int, str]:
        """The ordinals of losers, each with a digest of its key and order."""
        del program
        with lend_ledger(self.context) as ledger:
            return ledger.duplicates.read_losers(element.partition)


@declare_types(CandidateBatch, CandidateBatch)
class _RejectReplayedLosers(_RejectDuplicates):
    """Rejects the rows that lost when they were first read, and still have the same key and order.

    Not those that are released: the rows before them were discarded or have other keys. Ordinals
    of a batch of rejected rows aren't those of their partition, so rows are identified by source
    keys.
    """

    def losers(self, element: CandidateBatch, program: LoadProgram) -> dict[int, str]:
        keys = source_keys(element.rows, program, element.partition.id)
        with lend_ledger(self.context) as ledger:
            claims = ledger.duplicates.read_claims(element.partition, keys, with_released=False)
        return still_losing(element.rows, program, keys, claims, self.key_hasher(program))


class RejectDuplicates(StepTransform):
    """CandidateBatch -> CandidateBatch with the losers of duplicate keys marked."""

    dofn = _RejectDuplicates


class RejectReplayedDuplicates(StepTransform):
    """The same for batches of rejected rows."""

    dofn = _RejectReplayedLosers
