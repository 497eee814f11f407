"""Reports the bad lines of a map's file."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import ErrorCode, Problem

BAD_LINES_NAMED = 20
"""The number of bad lines of a file that are named; more hardly help to correct it."""


def line_problems(file: str, bad_lines: Sequence[tuple[int, str]]) -> list[Problem]:
    """Reports the first bad lines by number, and how many more there are (SYS-004).

    Args:
        file: The name of the file.
        bad_lines: The number of each bad line, and what is wrong with it.
    """
    problems = [
        Problem(ErrorCode.SYS_004, reason, f"{file}:{number}", "correct the line")
        for number, reason in bad_lines[:BAD_LINES_NAMED]
    ]
    if len(bad_lines) > BAD_LINES_NAMED:
        rest = f"and {len(bad_lines) - BAD_LINES_NAMED} more bad lines"
        problems.append(Problem(ErrorCode.SYS_004, rest, file, "correct them as well"))
    return problems
