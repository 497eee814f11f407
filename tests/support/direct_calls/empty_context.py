"""The context of a run without loads and maps."""

from __future__ import annotations

from transforms.model.run_context import RunContext

EMPTY_CONTEXT = RunContext(
    job="job",
    run=1,
    sources={},
    target="",
    control_schema=None,
    programs={},
    needs={},
    maps={},
)
