"""Reports the bad lines of a map's file."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import ErrorCode, Problem

BAD_LINES_NAMED = 20
"""How many bad lines of a file are named one by one; more of them hardly help to correct it."""


def line_problems(file: str, faults: Sequence[tuple[int, str]]) -> list[Problem]:
    """SYS-004 for the first lines, by their numbers, and for how many more there are."""
    problems = [
        Problem(ErrorCode.SYS_004, fault, f"{file}:{number}", "correct the line")
        for number, fault in faults[:BAD_LINES_NAMED]
    ]
    if len(faults) > BAD_LINES_NAMED:
        rest = f"and {len(faults) - BAD_LINES_NAMED} more bad lines"
        problems.append(Problem(ErrorCode.SYS_004, rest, file, "correct them as well"))
    return problems
