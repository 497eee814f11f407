"""The graphs of a migration and of a replay: one level of loads after the other.

Beam goes through a graph several times, at a cost that grows with the square of its depth, and with
recursion. So a graph has a few levels only, and many of them are run as several graphs: with a
hundred loads into one table, which have to wait for each other, that is a hundred levels.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apache_beam as beam

from pipelines.engines.engine import name_again, run_to_the_end
from schemas.errors import Problem
from transforms.model.rejected_rows import RejectedLevel
from transforms.model.run_context import RunContext
from transforms.steps.level import Level
from transforms.steps.load_level import LoadLevel
from transforms.steps.replay_level import ReplayLevel

LEVELS_AT_ONCE = 6
"""Levels of one graph. Few migrations have more, and a graph of this depth is built in the time
that its levels take to run."""

OneLevel = TypeVar("OneLevel")


def build_graph(pipeline: Any, context: RunContext, levels: Sequence[Level]) -> None:
    """Adds levels to a Beam pipeline; each waits for the one above it."""
    settled = None
    for level in levels:
        settled = pipeline | LoadLevel(context, level, settled)


def build_replay(pipeline: Any, context: RunContext, levels: Sequence[RejectedLevel]) -> None:
    """Adds levels of rejected rows to a Beam pipeline; each waits for the one above it."""
    ended = None
    for level in levels:
        ended = pipeline | ReplayLevel(context, level, ended)


def run_levels(
    pipeline: Any,
    levels: Sequence[OneLevel],
    build: Callable[[Any, Sequence[OneLevel]], None],
    goes_on: Callable[[], bool] = lambda: True,
) -> list[Problem]:
    """Runs levels, each after the one above it.

    Args:
        pipeline: an empty pipeline, whose runner and options are used for all levels.
        levels: what is to be done.
        build: adds a few of the levels to a pipeline.
        goes_on: whether the levels of another graph are still to be run.

    Returns:
        Why the engine didn't get through; the ledger says how far it came.
    """
    for start in range(0, max(1, len(levels)), LEVELS_AT_ONCE):
        if start:
            if not goes_on():
                break
            pipeline = beam.Pipeline(runner=pipeline.runner, options=pipeline.options)
            name_again(pipeline)
        build(pipeline, levels[start : start + LEVELS_AT_ONCE])
        problems = _run_frozen(pipeline)
        if problems:
            return problems
    return []


def _run_frozen(pipeline: Any) -> list[Problem]:
    # The graph is large, and nothing of it goes before the run ends.
    gc.freeze()
    try:
        return run_to_the_end(pipeline)
    finally:
        gc.unfreeze()
