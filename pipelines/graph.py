"""The graphs of a migration and of a replay: one level of loads after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transforms.level import Level
from transforms.load_level import LoadLevel
from transforms.rejected_rows import RejectedLevel
from transforms.replay_level import ReplayLevel
from transforms.run_context import RunContext


def build_graph(pipeline: Any, context: RunContext, levels: Sequence[Level]) -> None:
    """Adds the levels to a Beam pipeline; each waits for the one above it."""
    settled = None
    for level in levels:
        settled = pipeline | LoadLevel(context, level, settled)


def build_replay(pipeline: Any, context: RunContext, levels: Sequence[RejectedLevel]) -> None:
    """Adds levels of rejected rows to a Beam pipeline; each waits for the one above it."""
    ended = None
    for level in levels:
        ended = pipeline | ReplayLevel(context, level, ended)
