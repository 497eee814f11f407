"""Remembers the signatures of functions that Beam inspects again and again.

For each DoFn it looks through all methods when a step is made, when the graph is translated, and
when a worker opens a bundle: 30,000 signatures in a run of three levels, most of them of
the same functions. What Beam's own functions answer is remembered, and is the same.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from apache_beam.transforms import core, userstate

Signature = tuple[list[str], list[Any]]
"""The names of a function's arguments, and its defaults."""

Specs = tuple[set[Any], set[Any]]
"""The states and the timers of a DoFn."""


def remember_signatures() -> None:
    """Has Beam inspect each method once in this process, whatever it is bound to."""
    if not hasattr(core.get_function_args_defaults, "remembered"):
        core.get_function_args_defaults = _signatures(core.get_function_args_defaults)
        userstate.get_dofn_specs = _specs(userstate.get_dofn_specs)


def _signatures(inspect: Callable[[Any], Signature]) -> Callable[[Any], Signature]:
    remembered: WeakKeyDictionary[types.FunctionType, Signature] = WeakKeyDictionary()

    def get_function_args_defaults(function: Any) -> Signature:
        method = getattr(function, "__func__", None)
        if not isinstance(method, types.FunctionType):
            return inspect(function)
        if method not in remembered:
            remembered[method] = inspect(function)
        args, defaults = remembered[method]
        return list(args), list(defaults)

    get_function_args_defaults.remembered = remembered  # type: ignore[attr-defined]
    return get_function_args_defaults


def _specs(inspect: Callable[[core.DoFn], Specs]) -> Callable[[core.DoFn], Specs]:
    remembered: WeakKeyDictionary[type[core.DoFn], Specs] = WeakKeyDictionary()

    def get_dofn_specs(dofn: core.DoFn) -> Specs:
        kind = type(dofn)
        if kind not in remembered:
            signature = inspect(dofn)
            if any(name.startswith("_inspect_") for name in dir(kind)):
                # Its methods are those of a function that each instance has for itself.
                return signature
            remembered[kind] = signature
        states, timers = remembered[kind]
        return set(states), set(timers)

    return get_dofn_specs
