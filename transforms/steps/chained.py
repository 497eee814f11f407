"""How the steps of a level are chained: what starts them, and what follows what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.util import WaitOn

from transforms.model.outputs import PARTITION_CATEGORIES
from transforms.model.run_context import RunContext
from transforms.steps.check_references import CheckReferences
from transforms.steps.derive_fields import DeriveFields
from transforms.steps.map_fields import MapFields
from transforms.steps.partition_step import StepTransform
from transforms.steps.translate_codes import TranslateCodes
from transforms.steps.validate_rows import ValidateRows


def started(
    begin: Any, name: str, elements: Sequence[Any], kind: type[Any], barriers: Sequence[Any]
) -> Any:
    """PCollection of ``elements``, spread over the workers when the barriers are complete."""
    created = begin | name >> beam.Create(list(elements), reshuffle=False).with_output_types(kind)
    if barriers:
        created = created | f"{name}Wait" >> WaitOn(*barriers)
    return created | f"{name}Reshuffle" >> beam.Reshuffle()


def judging_steps(context: RunContext, level: int) -> tuple[StepTransform, ...]:
    """The steps that judge candidates, in the order in which each can rely on those before it.

    Each CandidateBatch -> CandidateBatch; ``level`` tells which parents they may share.
    """
    return (
        MapFields(context),
        TranslateCodes(context),
        DeriveFields(context),
        CheckReferences(context, level),
        ValidateRows(context),
    )


def through(elements: Any, steps: Sequence[StepTransform]) -> tuple[Any, list[Any]]:
    """What comes out of steps that follow each other, and the failures of all of them."""
    failures: list[Any] = []
    for step in steps:
        outputs = elements | step
        elements = outputs.rows
        failures += [outputs[category.value] for category in PARTITION_CATEGORIES]
    return elements, failures
