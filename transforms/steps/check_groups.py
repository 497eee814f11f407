"""CheckGroups: the warnings of rules over several rows, as the pass before the load found them."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from schemas.violations import ORDINAL
from transforms.compare.group_violations import group_claims, group_warnings
from transforms.keys.source_keys import source_keys
from transforms.ledger.findings import findings_by_ordinal, findings_by_source_key
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import FailedPartition
from transforms.model.program import LoadProgram
from transforms.postgres.connection_pool import target_pool
from transforms.steps.partition_step import PartitionStep, StepTransform


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _CheckGroups(PartitionStep[CandidateBatch, CandidateBatch]):
    """Asks what was found of the rows of the partition."""

    talks = True

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        found = self.found(element, program) if program.group_rules else {}
        yield element.having(element.rows, group_warnings(program, found)) if found else element

    def found(self, element: CandidateBatch, program: LoadProgram) -> dict[str, list[int]]:
        """The ordinals on which rules fail, by the name of the rule."""
        del program
        with target_pool(self.context).lent() as target:
            return findings_by_ordinal(target, self.context, element.partition)


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _CheckFormerGroups(_CheckGroups):
    """Asks what was found of the rows when they were read first, and holds as long as they are
    compared by the same as then."""

    def found(self, element: CandidateBatch, program: LoadProgram) -> dict[str, list[int]]:
        identifier = element.partition.id
        keys = source_keys(element.rows, program, identifier)
        with target_pool(self.context).lent() as target:
            stored = findings_by_source_key(target, self.context, element.partition, keys)
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
    dofn_of_replays = _CheckFormerGroups
