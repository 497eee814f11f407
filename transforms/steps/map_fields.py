"""MapFields: from source columns to target fields."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from transforms.mapping.loaded_maps import maps_of
from transforms.mapping.stages import map_fields
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import FailedPartition
from transforms.steps.partition_step import PartitionStep, StepTransform


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _MapFields(PartitionStep[CandidateBatch, CandidateBatch]):
    """Computes the fields that read source columns alone, and applies the skips that do."""

    talks = True  # to the target, for lookup tables in a process of its own

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        yield element.having(*map_fields(element.rows, program, maps_of(self.context)))


class MapFields(StepTransform):
    """CandidateBatch -> CandidateBatch with ``out.NAME`` for the fields of the stage MAP."""

    dofn = _MapFields
