"""Output and exit status of a command that couldn't do what it was asked for.

Nothing is imported here that a ``--help`` doesn't need.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from schemas.errors import ErrorCode, ExitStatus, Problem
from transforms.resources.memory_limits import is_memory_shortage, memory_problem

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def print_refusal(problems: Sequence[Problem], status: ExitStatus, as_json: bool) -> int:
    """Print problems, with ``as_json`` on stdout as well, and return the exit status."""
    from pipelines.terminal.console import print_problems

    print_problems(problems)
    if as_json:
        # If stdout itself is the problem, it is reported on stderr.
        with suppress(OSError):
            print_problems_as_json(problems)
    return int(status)


def print_problems_as_json(problems: Sequence[Problem]) -> None:
    """Print problems as the one document on stdout: ``{"problems": [{"code", ...}]}``."""
    from pipelines.terminal.console import print_json, problem_documents

    print_json({"problems": problem_documents(problems)})


def failure_of(error: Exception) -> tuple[list[Problem], ExitStatus]:
    """The problem and exit status of an unforeseen error: of a database, else a crash (SYS-003).

    Its text and the traceback may hold values, so they are shown only where TRANSFUSE_DEBUG
    asks for them.
    """
    if is_memory_shortage(error):
        return [memory_problem()], ExitStatus.INCOMPLETE
    from pipelines.connections.database_errors import database_problem

    problem = database_problem(error)
    if problem is not None:
        return [problem], ExitStatus.INCOMPLETE
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return [_unwritable(error)], ExitStatus.INCOMPLETE
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    problem = Problem(
        ErrorCode.SYS_003,
        f"crashed with {type(error).__name__}",
        frames[-1] if frames else "",
        "start again to continue; with TRANSFUSE_DEBUG=1 the traceback is shown,"
        " which may hold values of rows",
    )
    return [problem], ExitStatus.CRASH


def unwritten_output(error: OSError) -> Problem:
    """The problem that what a run has printed is lost, while the run itself is not.

    Raises:
        OSError: the error, where it has another reason.
    """
    if error.errno not in _UNWRITABLE:
        raise error
    return Problem(
        ErrorCode.USER_004,
        f"the summary can't be written: {error.strerror}",
        "stdout",
        "make room; the exit status is that of the run, and 'status' prints the summary again",
    )


def _unwritable(error: OSError) -> Problem:
    place = str(error.filename) if error.filename else "what is printed"
    message = f"it can't be written: {error.strerror}"
    return Problem(ErrorCode.SYS_005, message, place, "make room, and start again")
