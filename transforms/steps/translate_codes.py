"""TranslateCodes: diagnosis codes through the General Equivalence Mappings."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from transforms.mapping.loaded_maps import maps_of
from transforms.mapping.stages import translate_codes
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import FailedPartition
from transforms.steps.partition_step import PartitionStep, StepTransform


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _TranslateCodes(PartitionStep[CandidateBatch, CandidateBatch]):
    """A cluster gives its candidate further rows, an ambiguous code a violation."""

    talks = True  # to the target, for lookup tables in a process of its own

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        maps = maps_of(self.context)
        yield element.having(*translate_codes(element.rows, program, maps))


class TranslateCodes(StepTransform):
    """CandidateBatch -> CandidateBatch with the fields that have a GEM map."""

    dofn = _TranslateCodes
