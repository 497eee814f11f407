"""MapFields, TranslateCodes, DeriveFields, ValidateRows: the steps that a load's program decides.

Each is one function of ``transforms/mapping/stages.py``, so they differ in that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from transforms.mapping.loaded_maps import Maps, maps_of
from transforms.mapping.stages import derive_fields, map_fields, translate_codes, validate_rows
from transforms.model.batch import CandidateBatch
from transforms.model.program import LoadProgram
from transforms.model.run_context import RunContext
from transforms.steps.partition_step import PartitionStep, StepTransform, declare_types

MappingStage = Callable[[pa.RecordBatch, LoadProgram, Maps], tuple[pa.RecordBatch, pa.RecordBatch]]
"""Rows to rows and violations."""


@declare_types(CandidateBatch, CandidateBatch)
class _MappingStep(PartitionStep[CandidateBatch, CandidateBatch]):
    """Applies a stage to a batch."""

    talks = True  # to the target, for lookup tables in a process of its own

    def __init__(self, context: RunContext, stage: MappingStage) -> None:
        super().__init__(context)
        self.stage = stage

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        yield element.having(*self.stage(element.rows, program, maps_of(self.context)))


class MapFields(StepTransform):
    """CandidateBatch -> CandidateBatch with ``out.NAME`` for the fields of the stage MAP.

    These read source columns alone; skips that do are applied too.
    """

    def new_step(self) -> _MappingStep:
        return _MappingStep(self.context, map_fields)


class TranslateCodes(StepTransform):
    """CandidateBatch -> CandidateBatch with the fields that have a GEM map.

    A cluster gives its candidate further rows, an ambiguous code a violation.
    """

    def new_step(self) -> _MappingStep:
        return _MappingStep(self.context, translate_codes)


class DeriveFields(StepTransform):
    """CandidateBatch -> CandidateBatch with the fields of the stage DERIVE.

    These read other fields, and are computed in the order of their dependence.
    """

    def new_step(self) -> _MappingStep:
        return _MappingStep(self.context, derive_fields)


class ValidateRows(StepTransform):
    """CandidateBatch -> CandidateBatch with late fields and skips, and the violations of rules.

    A row with a violation is checked further as far as its values allow.
    """

    def new_step(self) -> _MappingStep:
        return _MappingStep(self.context, validate_rows)
