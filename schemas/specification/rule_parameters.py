"""What is given to a ready rule, and whether it takes that."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from schemas.errors import Problem
from schemas.ready_rules import READY_RULES
from schemas.ready_rules.rule import GroupRule
from schemas.specification.policies import OnFail
from schemas.specification.row_rule import Rule


def parameter_problems(rule: Rule) -> Iterator[Problem]:
    """All that can be seen without a database: unknown names, missing and wrong parameters.

    A rule of its own expression has no parameters, so what is given to it isn't known.
    """
    if rule.use is None:
        yield from _unknown_keys(rule)
        return
    ready = READY_RULES.get(rule.use)
    if ready is None:
        close = difflib.get_close_matches(rule.use, READY_RULES, 1)
        yield rule.problem(
            f"there is no ready rule '{rule.use}'",
            "use",
            remedy=f"did you mean '{close[0]}'?" if close else "'transfuse rules' lists them",
        )
        return
    if isinstance(ready, GroupRule) and rule.on_fail is OnFail.REJECT:
        yield rule.problem(
            f"'{rule.use}' compares rows with each other, and can only warn",
            "on_fail",
            remedy="leave 'on_fail' out; 'duplicates' decides which of several rows is written",
        )
    for problem in ready.read(rule.parameters)[1]:
        yield rule.problem(problem.message, *problem.below, remedy=problem.remedy)


def _unknown_keys(rule: Rule) -> Iterator[Problem]:
    known = list(type(rule).model_fields)
    for name in rule.parameters:
        close = difflib.get_close_matches(name, known, 1)
        yield rule.problem(
            f"the key '{name}' is not known here",
            name,
            remedy=f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}",
        )
