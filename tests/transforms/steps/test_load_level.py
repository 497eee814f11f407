"""The graph of a level: typed outputs, and a size that doesn't depend on the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.typehints.decorators import TypeCheckError

from schemas.errors import Category
from transforms.commit.partition_transaction import CommittedPartition
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import CommittedViolations, FailedPartition
from transforms.model.partition import Partition
from transforms.model.rejected_rows import RejectedRows
from transforms.model.run_context import RunContext
from transforms.steps.check_groups import CheckGroups, CheckReplayedGroups
from transforms.steps.commit_partition import CommitPartitions
from transforms.steps.level import Level
from transforms.steps.load_level import LoadLevel
from transforms.steps.mapping_steps import MapFields
from transforms.steps.read_partition import ReadPartitions
from transforms.steps.read_rejected import ReadRejected


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


def test_the_graph_grows_with_levels_and_not_with_tables() -> None:
    def levels(count: int, loads: int) -> list[Level]:
        return [
            Level(n, tuple(f"t{i}" for i in range(loads)), partitions(loads, 3))
            for n in range(count)
        ]

    assert steps_of(levels(2, 1)) == steps_of(levels(2, 300))
    one, two, three = (steps_of(levels(n, 5)) for n in (1, 2, 3))
    assert three - two == pytest.approx(two - one, abs=8)


def outputs_of(transform: Callable[[RunContext], beam.PTransform], given: type) -> Any:
    pipeline = beam.Pipeline()
    return pipeline | beam.Create([]).with_output_types(given) | transform(context())


@pytest.mark.parametrize(
    ("transform", "given"),
    [
        (ReadPartitions, Partition),
        (ReadRejected, RejectedRows),
        (MapFields, CandidateBatch),
        (CheckGroups, CandidateBatch),
        (CheckReplayedGroups, CandidateBatch),
    ],
)
def test_the_input_and_outputs_of_a_step_are_typed(
    transform: Callable[[RunContext], Any], given: type
) -> None:
    outputs = outputs_of(transform, given)
    assert outputs.rows.element_type is CandidateBatch
    for category in (Category.CONNECTION, Category.SYSTEM, Category.USER):
        assert outputs[category.value].element_type is FailedPartition
    with pytest.raises(TypeCheckError):
        outputs_of(transform, str)


def test_the_sink_has_a_typed_output_for_each_category() -> None:
    outputs = outputs_of(CommitPartitions, CandidateBatch)
    assert outputs.committed.element_type is CommittedPartition
    for category in (Category.DATA, Category.TRANSFORMATION):
        assert outputs[category.value].element_type is CommittedViolations
    for category in (Category.CONNECTION, Category.SYSTEM, Category.USER):
        assert outputs[category.value].element_type is FailedPartition
