"""CheckReferences: does the row that a field refers to stand in the target?"""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput

from transforms.model.batch import CandidateBatch
from transforms.model.run_context import RunContext
from transforms.references.check import check_references
from transforms.references.target_parents import TargetParents, shared_indexes
from transforms.steps.partition_step import PartitionStep, StepTransform, declare_types


@declare_types(CandidateBatch, CandidateBatch)
class _CheckReferences(PartitionStep[CandidateBatch, CandidateBatch]):
    """Settles references; indexes of parents are held once per process and level."""

    talks = True

    def __init__(self, context: RunContext, level: int) -> None:
        super().__init__(context)
        self.level = level

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        if not any(field.reference for field in program.fields):
            yield element
            return
        parents = TargetParents(self.context, shared_indexes(self.context, self.level))
        yield element.having(*check_references(element.rows, program, parents))


class CheckReferences(StepTransform):
    """CandidateBatch -> CandidateBatch with generated keys looked up and orphans marked.

    ``level`` is the level of the loads: what stands in the target changes from one to the
    next and not within.
    """

    dofn = _CheckReferences

    def __init__(self, context: RunContext, level: int) -> None:
        super().__init__(context)
        self.level = level

    def new_step(self) -> _CheckReferences:
        return _CheckReferences(self.context, self.level)
