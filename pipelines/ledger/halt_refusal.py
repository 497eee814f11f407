"""Refuses what an emergency stop forbids, and names who did it, when, why, and the way out."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.ledger.halt_rows import StoredHalt
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.reset_command import resume_command
from schemas.errors import ErrorCode, Problem, TransfuseError


def refuse_halted(ledger: JobLedger, loads_too: bool = False) -> None:
    """Refuse to go on with a job that an emergency stop has halted.

    Args:
        ledger: The job's.
        loads_too: Whether an isolated load is a reason as well.

    Raises:
        TransfuseError: USER-003.
    """
    halts = [halt for halt in ledger.halts.read() if loads_too or not halt.load]
    if halts:
        raise TransfuseError([problem_of_halt(ledger, halt) for halt in halts])


def problem_of_halt(ledger: JobLedger, halt: StoredHalt) -> Problem:
    """The problem that an emergency stop is in force."""
    what = f"the load '{halt.load}' is isolated" if halt.load else "the job is halted"
    return Problem(
        ErrorCode.USER_003,
        f"{what} by an emergency stop of {halt.person} ({halt.role}),"
        f" {halt.halted_at:%Y-%m-%d %H:%M:%S %Z}: {halt.reason}",
        f"table {halt.load}" if halt.load else f"job {ledger.specification.job}",
        f"when it is safe again: {resume_command(ledger.specification, halt.load)}",
    )


def find_isolated(ledger: JobLedger, needs: Mapping[str, tuple[str, ...]]) -> dict[str, Problem]:
    """Find the loads that can't go on because they, or loads that they need, are isolated.

    Args:
        ledger: The job's.
        needs: The loads that each load needs.

    Returns:
        A problem for each of them that isn't complete.
    """
    halts = {halt.load: halt for halt in ledger.halts.read() if halt.load}
    complete = ledger.loads.read_complete() if halts else frozenset()
    problems = {}
    for load in ledger.specification.tables:
        reasons = [name for name in (load, *needs.get(load, ())) if name in halts]
        if not reasons or load in complete:
            continue
        problem = problem_of_halt(ledger, halts[reasons[0]])
        if reasons[0] != load:
            message = f"left out, since it needs {reasons[0]}: {problem.message}"
            problem = Problem(problem.code, message, f"table {load}", problem.remedy)
        problems[load] = problem
    return problems
