"""Loads that a person names by ``--table``."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.terminal.flag_check import closest
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification


def refuse_unknown_loads(specification: Specification, names: Sequence[str]) -> None:
    """Refuses names that no load has.

    Raises:
        TransfuseError: USER-001 for each of them, with the closest load.
    """
    problems = [
        Problem(
            ErrorCode.USER_001,
            f"the specification has no load '{name}'",
            str(specification.at("tables")),
            _meant_load(specification, name),
        )
        for name in names
        if name not in specification.tables
    ]
    if problems:
        raise TransfuseError(problems)


def _meant_load(specification: Specification, name: str) -> str:
    meant = closest(name, specification.tables)
    return f"did you mean '{meant}'?" if meant else f"there are: {', '.join(specification.tables)}"
