"""A ready rule: its parameters, the SQL that it stands for, and its words."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import ErrorCode
from schemas.ready_rules.parameters import FieldParameter, Parameter

SETTINGS = ("use", "error", "on_fail")
"""The keys that every rule takes beside its parameters."""


@dataclass(frozen=True)
class ReadyRule:
    """A rule that a specification uses by its name.

    ``condition`` gives SQL of what each parameter became, by name: an ``Operand`` of a
    field (None for one that is left out), the value of a constant, ``ListedCodes`` of a file.
    As in any rule NULL passes, and only false fails.
    """

    name: str
    parameters: tuple[Parameter, ...]
    condition: Callable[..., str]
    error: ErrorCode
    warns: bool

    @property
    def paragraphs(self) -> list[str]:
        """The paragraphs of its description, each on one line."""
        text = inspect.getdoc(self.condition) or ""
        return [" ".join(part.split()) for part in text.split("\n\n")]

    @property
    def checks(self) -> str:
        """What it checks, in a sentence."""
        return self.paragraphs[0]

    @property
    def source(self) -> str:
        """Where the rule or its numbers come from."""
        return next(p.removeprefix("Source: ") for p in self.paragraphs if p[:8] == "Source: ")

    @property
    def example(self) -> str:
        """An entry of ``rules`` with all parameters."""
        given = "".join(f", {p.name}: {_in_yaml(p.example)}" for p in self.parameters)
        return f"{self.name.upper()}: {{use: {self.name}{given}}}"

    def read(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[ParameterProblem]]:
        """What was given, by parameter, and what is wrong with it.

        A field that isn't given has its usual name, a constant its default; a file is None
        where it isn't given.
        """
        values: dict[str, Any] = {}
        problems = list(self._unknown(given))
        for parameter in self.parameters:
            usual = getattr(parameter, "usual", None)
            if parameter.name not in given and parameter.is_required:
                remedy = f"add '{parameter.name}: ...', {parameter.meaning}"
                message = f"the rule '{self.name}' needs '{parameter.name}'"
                problems.append(ParameterProblem((), message, remedy))
                continue
            value = given.get(parameter.name, usual)
            if parameter.name not in given and usual is None:
                values[parameter.name] = None
                continue
            try:
                values[parameter.name] = parameter.read(value)
            except ValueError as error:
                problems.append(
                    ParameterProblem((parameter.name,), str(error), f"give {parameter.meaning}")
                )
        return values, problems

    def leaves_out(self, parameter: FieldParameter, given: Mapping[str, Any]) -> bool:
        """Whether the rule does without the usual field where the load hasn't got it."""
        return parameter.if_there and parameter.name not in given

    def _unknown(self, given: Mapping[str, Any]) -> Iterator[ParameterProblem]:
        known = [p.name for p in self.parameters]
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(name, [*known, *SETTINGS], 1)
                remedy = f"known: {', '.join([*known, *SETTINGS])}"
                yield ParameterProblem(
                    (name,),
                    f"the rule '{self.name}' has no parameter '{name}'",
                    f"did you mean '{close[0]}'?" if close else remedy,
                )


@dataclass(frozen=True)
class Grouped:
    """How rows of a load are compared: SQL over its fields, and over what is made of them.

    Rows with equal ``by`` are a group; with NULL in one of them a row is in none, unless
    ``with_nulls``; a row that is ``alone`` in its group is looked at too. ``values`` are what is
    compared, called ``v0``, ``v1``, ..., and ``fails`` is true for the rows on which the rule
    fails: it may use the window ``g``, a row's group, and ``ordered``, the group by ``v0`` and by
    place in the source. ``reason`` says why.
    """

    by: tuple[str, ...]
    values: tuple[str, ...]
    fails: str
    reason: str
    with_nulls: bool = False
    alone: bool = False


@dataclass(frozen=True)
class GroupRule(ReadyRule):
    """A rule over several rows, found before the load starts; it warns and never rejects.

    ``condition`` gives a ``Grouped``. Whether a row may be written can't depend on others, which
    may be fixed or rejected themselves.
    """

    condition: Callable[..., Grouped]  # type: ignore[assignment]


@dataclass(frozen=True)
class ParameterProblem:
    """What is wrong with the parameters of a rule: where below it, what, and what to do."""

    below: tuple[str, ...]
    message: str
    remedy: str


def ready_rule(
    *parameters: Parameter, error: ErrorCode = ErrorCode.DATA_001, warns: bool = False
) -> Callable[[Callable[..., str]], ReadyRule]:
    """Makes a ready rule of a function that gives its SQL; the function's name is the rule's.

    The first paragraph of its description says what is checked, one that begins with
    ``Source:`` where that comes from.
    """

    def make_rule(condition: Callable[..., str]) -> ReadyRule:
        return ReadyRule(condition.__name__, parameters, condition, error, warns)

    return make_rule


def group_rule(
    *parameters: Parameter, error: ErrorCode = ErrorCode.DATA_005
) -> Callable[[Callable[..., Grouped]], GroupRule]:
    """Makes a rule over several rows of a function, as ``ready_rule`` does."""

    def make_rule(condition: Callable[..., Grouped]) -> GroupRule:
        return GroupRule(condition.__name__, parameters, condition, error, True)

    return make_rule


def _in_yaml(text: str) -> str:
    plain = text.startswith("[") and text.endswith("]") and "'" not in text
    special = set(text) & set("{}[],:#&*!|>%@`\"'\\")
    return text if plain or not special else "'" + text.replace("'", "''") + "'"
