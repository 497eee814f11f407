"""The context of a run, in this process and in others."""

from __future__ import annotations

import pickle
from dataclasses import replace

from schemas.code_maps.gem_file import packaged_gem
from schemas.code_maps.policy import GemPolicy
from transforms import run_context
from transforms.mapping.code_translators import translators
from transforms.run_context import GemUse, RunContext

CONTEXT = RunContext(
    job="job",
    run=1,
    sources={},
    target="",
    control_schema=None,
    snapshots={},
    programs={},
    needs={},
    maps={},
)


def test_runs_of_one_name_in_two_databases_share_nothing() -> None:
    """Job names and run numbers repeat; a process may serve both."""
    other = replace(CONTEXT, maps={"map": GemUse(packaged_gem("map"), GemPolicy(), "as_source")})
    assert set(translators(CONTEXT)) == set()
    assert set(translators(other)) == {"map"}


def test_another_process_gets_the_content_and_this_one_the_same_object() -> None:
    assert pickle.loads(pickle.dumps(CONTEXT)) is CONTEXT
    sent = replace(CONTEXT, in_process=False)
    packed = pickle.dumps(sent)
    run_context._known.clear()
    received = pickle.loads(packed)
    assert received == sent
    assert pickle.loads(packed) is received
