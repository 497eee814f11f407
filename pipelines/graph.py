"""The graph of a migration: one level of loads after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transforms.level import Level
from transforms.load_level import LoadLevel
from transforms.run_context import RunContext


def build_graph(pipeline: Any, context: RunContext, levels: Sequence[Level]) -> None:
    """Adds the levels to a Beam pipeline; each waits for the one above it."""
    settled = None
    for level in levels:
        settled = pipeline | LoadLevel(context, level, settled)
