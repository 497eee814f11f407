"""Chains the steps of a level, and creates the elements that they start with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.util import WaitOn

from transforms.model.outputs import PARTITION_CATEGORIES
from transforms.model.run_context import RunContext
from transforms.steps.check_references import CheckReferences
from transforms.steps.mapping_steps import DeriveFields, MapFields, TranslateCodes, ValidateRows
from transforms.steps.partition_step import StepTransform


def create_elements(
    begin: Any, name: str, elements: Sequence[Any], kind: type[Any], barriers: Sequence[Any]
) -> Any:
    """Create a PCollection, spread over the workers once the barriers are complete."""
    created = begin | name >> beam.Create(list(elements), reshuffle=False).with_output_types(kind)
    if barriers:
        created = created | f"{name}Wait" >> WaitOn(*barriers)
    return created | f"{name}Reshuffle" >> beam.Reshuffle()


def judging_steps(context: RunContext, level: int) -> tuple[StepTransform, ...]:
    """The steps that check candidates, in an order in which each can rely on those before it.

    Each is CandidateBatch -> CandidateBatch. Steps of one ``level`` share indexes of parents.
    """
    return (
        MapFields(context),
        TranslateCodes(context),
        DeriveFields(context),
        CheckReferences(context, level),
        ValidateRows(context),
    )


def chain_steps(elements: Any, steps: Sequence[StepTransform]) -> tuple[Any, list[Any]]:
    """Apply steps one after the other.

    Returns:
        The main output of the last step, and the PCollections of FailedPartition of all of them.
    """
    failures: list[Any] = []
    for step in steps:
        outputs = elements | step
        elements = outputs.rows
        failures += [outputs[category.value] for category in PARTITION_CATEGORIES]
    return elements, failures
