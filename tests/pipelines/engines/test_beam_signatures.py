"""What Beam is told of functions and DoFns is what it would find itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.transforms import core, userstate

from pipelines.engines.beam_signatures import remember_signatures


class Counting(beam.DoFn):
    """A DoFn with a state, which is in the default of an argument."""

    COUNT = userstate.CombiningValueStateSpec("count", VarIntCoder(), sum)
    PARAMETER = beam.DoFn.StateParam(COUNT)

    def process(self, element: Any, count: Any = PARAMETER) -> Iterator[Any]:
        count.add(1)
        yield element


class Plain(beam.DoFn):
    def process(self, element: Any, factor: int = 2) -> Iterator[Any]:
        yield element * factor


@pytest.fixture(scope="module")
def original() -> Callable[[Any], Any]:
    remember_signatures()
    remember_signatures()
    closure = core.get_function_args_defaults.__closure__
    inspect: Callable[[Any], Any]
    (inspect,) = [c.cell_contents for c in closure if callable(c.cell_contents)]
    assert inspect.__module__ == "apache_beam.transforms.core"
    return inspect


@pytest.mark.parametrize("name", ["process", "setup", "finish_bundle", "to_runner_api"])
@pytest.mark.parametrize("kind", [Counting, Plain])
def test_methods_of_several_instances(
    original: Callable[[Any], Any], kind: type[beam.DoFn], name: str
) -> None:
    for instance in (kind(), kind()):
        method = getattr(instance, name)
        assert core.get_function_args_defaults(method) == original(method)
    function = getattr(kind, name)
    assert core.get_function_args_defaults(function) == original(function)


def test_an_answer_that_is_altered_stays_with_who_asked() -> None:
    remember_signatures()
    core.get_function_args_defaults(Plain().process)[0].append("more")
    assert core.get_function_args_defaults(Plain().process) == (["element", "factor"], [2])


def test_states_are_found_in_whatever_has_them() -> None:
    remember_signatures()
    for _ in range(2):
        assert userstate.get_dofn_specs(Counting()) == ({Counting.COUNT}, set())
        assert userstate.get_dofn_specs(Plain()) == (set(), set())
        # One that wraps a function takes on whatever that has.
        assert not userstate.is_stateful_dofn(core.CallableWrapperDoFn(lambda x: [x]))
        wrapped = core.CallableWrapperDoFn(Counting().process)
        assert userstate.get_dofn_specs(wrapped) == ({Counting.COUNT}, set())
