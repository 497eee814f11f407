"""ValidateRows: the rules of a load, and what could only be known after its references."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from transforms.mapping.loaded_maps import maps_of
from transforms.mapping.stages import validate_rows
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import FailedPartition
from transforms.steps.partition_step import PartitionStep, StepTransform


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _ValidateRows(PartitionStep[CandidateBatch, CandidateBatch]):
    """Applies rules and late skips; a marked row is checked on as far as its values allow."""

    talks = True  # to the target, for lookup tables in a process of its own

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        maps = maps_of(self.context)
        yield element.having(*validate_rows(element.rows, program, maps))


class ValidateRows(StepTransform):
    """CandidateBatch -> CandidateBatch with the violations of the rules."""

    dofn = _ValidateRows
