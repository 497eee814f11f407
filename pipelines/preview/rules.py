"""``rules``: the ready rules that a specification can use."""

from __future__ import annotations

import difflib

from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.ready_rules import READY_RULES
from schemas.ready_rules.rule import ReadyRule


def rules(name: str | None = None) -> tuple[ReadyRule, ...]:
    """List the ready rules.

    Args:
        name: Only the rule of this name.

    Returns:
        The rules, in the order of the documentation.

    Raises:
        TransfuseError: USER-001 if there is no rule of that name.
    """
    if name is None:
        return tuple(READY_RULES.values())
    if name in READY_RULES:
        return (READY_RULES[name],)
    close = difflib.get_close_matches(name, READY_RULES, 1)
    remedy = f"did you mean '{close[0]}'?" if close else "'transfuse rules' lists them"
    raise TransfuseError(
        Problem(ErrorCode.USER_001, f"there is no ready rule '{name}'", remedy=remedy)
    )
