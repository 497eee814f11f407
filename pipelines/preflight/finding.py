"""A finding of the preflight: a problem, and whether the run can start in spite of it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import ErrorCode, Problem


@dataclass(frozen=True)
class Finding:
    """A problem with a server, a session or an object there.

    ``blocks`` is False for what a run can live with, such as a foreign table that can't be
    divided: it is reported as a warning.
    """

    problem: Problem
    blocks: bool = True


def blocker(code: ErrorCode, where: str, message: str, remedy: str) -> Finding:
    """A finding that keeps a run from starting."""
    return Finding(Problem(code, message, where, remedy))


def warning(code: ErrorCode, where: str, message: str, remedy: str) -> Finding:
    """A finding that is reported and nothing more."""
    return Finding(Problem(code, message, where, remedy), blocks=False)
