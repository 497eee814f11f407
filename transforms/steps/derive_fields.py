"""DeriveFields: fields that read other target fields."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from transforms.mapping.loaded_maps import maps_of
from transforms.mapping.stages import derive_fields
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import FailedPartition
from transforms.steps.partition_step import PartitionStep, StepTransform


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _DeriveFields(PartitionStep[CandidateBatch, CandidateBatch]):
    """Computes the fields whose expressions read other fields, in the order of their dependence."""

    talks = True  # to the target, for lookup tables in a process of its own

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        maps = maps_of(self.context)
        yield element.having(*derive_fields(element.rows, program, maps))


class DeriveFields(StepTransform):
    """CandidateBatch -> CandidateBatch with the fields of the stage DERIVE."""

    dofn = _DeriveFields
