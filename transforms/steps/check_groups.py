"""CheckGroups: adds the warnings of rules over several rows, which ``compare_rows`` stored."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput

from schemas.violations import ORDINAL
from transforms.compare.group_violations import group_claims, group_warnings
from transforms.keys.source_keys import source_keys
from transforms.ledger.worker_ledger import lend_ledger
from transforms.model.batch import CandidateBatch
from transforms.model.program import LoadProgram
from transforms.steps.partition_step import PartitionStep, StepTransform, declare_types


@declare_types(CandidateBatch, CandidateBatch)
class _CheckGroups(PartitionStep[CandidateBatch, CandidateBatch]):
    """Adds the warnings that the pass before the load stored for the partition."""

    talks = True

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        failing = self.failing_ordinals(element, program) if program.group_rules else {}
        yield element.having(element.rows, group_warnings(program, failing)) if failing else element

    def failing_ordinals(
        self, element: CandidateBatch, program: LoadProgram
    ) -> dict[str, list[int]]:
        """The ordinals on which rules fail, by the name of the rule."""
        del program
        with lend_ledger(self.context) as ledger:
            return ledger.groups.read_ordinals(element.partition)


@declare_types(CandidateBatch, CandidateBatch)
class _CheckReplayedGroups(_CheckGroups):
    """Adds the warnings that were stored when the rows were first read.

    Only those of rows whose values that the rule compares are still the same. Ordinals of a batch
    of rejected rows aren't those of their partition, so rows are identified by source keys.
    """

    def failing_ordinals(
        self, element: CandidateBatch, program: LoadProgram
    ) -> dict[str, list[int]]:
        identifier = element.partition.id
        keys = source_keys(element.rows, program, identifier)
        with lend_ledger(self.context) as ledger:
            stored = ledger.groups.read_claims(element.partition, keys)
        key_of = dict(zip(element.rows.column(ORDINAL).to_pylist(), keys.to_pylist(), strict=True))
        return {
            rule.name: [
                ordinal
                for ordinal, claim in group_claims(element.rows, program, rule, identifier).items()
                if stored.get((rule.name, key_of[ordinal])) == claim
            ]
            for rule in program.group_rules
        }


class CheckGroups(StepTransform):
    """CandidateBatch -> CandidateBatch with the warnings of rules over several rows."""

    dofn = _CheckGroups


class CheckReplayedGroups(StepTransform):
    """The same for batches of rejected rows."""

    dofn = _CheckReplayedGroups
