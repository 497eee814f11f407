"""The graph of a level: typed outputs, and a size that doesn't depend on the tables."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from schemas.errors import Category
from transforms.commit.partition_transaction import CommittedPartition
from transforms.model.batch import CandidateBatch, CandidateBatchCoder
from transforms.model.outputs import CommittedViolations, FailedPartition
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.steps.commit_partition import CommitPartitions
from transforms.steps.level import Level
from transforms.steps.load_level import LoadLevel


def context() -> RunContext:
    return RunContext(
        job="job",
        run=1,
        sources={},
        target="",
        control_schema=None,
        programs={},
        needs={},
        maps={},
    )


def steps_of(levels: list[Level]) -> int:
    pipeline = beam.Pipeline()
    settled: Any = None
    for level in levels:
        settled = pipeline | LoadLevel(context(), level, settled)
    return len(pipeline.to_runner_api().components.transforms)


def partitions(loads: int, each: int) -> tuple[Partition, ...]:
    return tuple(Partition(f"t{i}", str(n), "TRUE", 1) for i in range(loads) for n in range(each))


@pytest.mark.slow
def test_the_graph_grows_with_levels_and_not_with_tables() -> None:
    def levels(count: int, loads: int) -> list[Level]:
        return [
            Level(n, tuple(f"t{i}" for i in range(loads)), partitions(loads, 3))
            for n in range(count)
        ]

    assert steps_of(levels(2, 1)) == steps_of(levels(2, 300))
    one, two, three = (steps_of(levels(n, 5)) for n in (1, 2, 3))
    assert three - two == pytest.approx(two - one, abs=8)


class ElementTypes(PipelineVisitor):
    """The type of the elements of each output in a graph."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        for tag, output in transform_node.outputs.items():
            self.found[f"{transform_node.full_label} {tag}"] = output.element_type


def test_every_output_of_a_level_is_typed() -> None:
    """Beam pickles what has no type, and a batch of rows has a coder of its own."""
    pipeline = beam.Pipeline()
    all_partitions = partitions(2, 3)
    level = Level(0, ("t0", "t1"), all_partitions, compared=all_partitions)
    _ = pipeline | LoadLevel(context(), level, None)
    types = ElementTypes()
    pipeline.visit(types)
    # Beam's own barrier takes elements of any type, and so do its sums, which are of two numbers.
    of_beam = ("/WaitOn", "/CombinePerKey(_balance)")
    ours = {
        label: kind
        for label, kind in types.found.items()
        if not any(part in label for part in of_beam)
    }
    assert [label for label, kind in ours.items() if "Any" in str(kind)] == []
    steps = {label.split("/")[1] for label, kind in ours.items() if kind is CandidateBatch}
    assert steps >= {"ReadPartitions", "MapFields", "CheckReferences", "RejectDuplicates"}


def test_a_batch_between_steps_has_the_coder_of_batches() -> None:
    assert isinstance(beam.coders.registry.get_coder(CandidateBatch), CandidateBatchCoder)


def test_the_sink_has_an_output_for_each_category() -> None:
    """Rows that were rejected are counted after their commit, partitions that failed recorded."""
    pipeline = beam.Pipeline()
    batches = pipeline | beam.Create([]).with_output_types(CandidateBatch)
    outputs = batches | CommitPartitions(context())
    assert outputs.committed.element_type is CommittedPartition
    kinds = {category: outputs[category.value].element_type for category in Category}
    counted = dict.fromkeys((Category.DATA, Category.TRANSFORMATION), CommittedViolations)
    assert kinds == {**dict.fromkeys(Category, FailedPartition), **counted}
