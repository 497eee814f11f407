"""The context of a run, in this process and in others."""

from __future__ import annotations

import gc
import pickle
from dataclasses import replace

import pyarrow as pa

from schemas.code_maps.gem_file import packaged_gem
from schemas.code_maps.lookup_table import LookupTable
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.target_check import Outdated, target_check
from schemas.code_maps.translation import Notation
from tests.support.direct_calls.empty_context import EMPTY_CONTEXT
from transforms.mapping.loaded_maps import maps_of
from transforms.model import run_context
from transforms.model.run_context import GemUse


def test_runs_of_one_name_in_two_databases_share_nothing() -> None:
    """Job names and run numbers repeat; a process may serve both."""
    other = replace(
        EMPTY_CONTEXT, maps={"map": GemUse(packaged_gem("map"), GemPolicy(), Notation.AS_SOURCE)}
    )
    assert set(maps_of(EMPTY_CONTEXT).translators) == set()
    assert set(maps_of(other).translators) == {"map"}


def test_another_process_gets_the_content_and_this_one_the_same_object() -> None:
    assert pickle.loads(pickle.dumps(EMPTY_CONTEXT)) is EMPTY_CONTEXT
    sent = replace(EMPTY_CONTEXT, in_process=False)
    packed = pickle.dumps(sent)
    run_context._known.clear()
    received = pickle.loads(packed)
    assert received == sent
    assert pickle.loads(packed) is received


TABLE = LookupTable.build("m", [pa.array(["a", "b"])], pa.array(["x", None]))


def test_what_maps_hold_does_not_travel_with_the_steps() -> None:
    gem = packaged_gem("icd")
    use = GemUse(gem, GemPolicy(), Notation.AS_SOURCE, check=target_check(gem, Outdated.WARN, None))
    sent = replace(EMPTY_CONTEXT, maps={"icd": use}, lookups={"m": TABLE}, in_process=False)
    packed = pickle.dumps(sent)
    assert len(packed) < 5_000
    run_context._known.clear()
    received = pickle.loads(packed)
    assert received == sent
    assert not received.lookups["m"].has_content
    assert not received.maps["icd"].gem.has_content


def test_the_contexts_of_a_run_share_the_index_of_a_table() -> None:
    context = replace(EMPTY_CONTEXT, lookups={"m": TABLE})
    lookup = maps_of(context).lookups["m"]
    assert maps_of(replace(context, programs={})).lookups["m"] is lookup
    other = LookupTable.build("m", [pa.array(["a"])], pa.array(["y"]))
    assert maps_of(replace(EMPTY_CONTEXT, lookups={"m": other})).lookups["m"] is not lookup


def test_a_context_that_nobody_needs_any_more_goes_with_its_tables() -> None:
    context = replace(EMPTY_CONTEXT, lookups={"m": TABLE})
    token = context.token
    assert run_context._known[token] is context
    del context
    gc.collect()
    assert token not in run_context._known
