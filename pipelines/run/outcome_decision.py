"""The rules by which the facts at the end of a run give its exit status and the job's state."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.ledger.failures import SILENT
from pipelines.ledger.job_row import Wanted
from schemas.errors import ErrorCode, ExitStatus, Problem
from schemas.summary import State

_STATE_ON_REQUEST: dict[Wanted, State] = {"pause": "paused", "stop": "stopped"}
"""The state of a job that was asked to pause or stop before it was complete."""


@dataclass(frozen=True)
class EndFacts:
    """The state of ledger and databases when a run ends.

    Attributes:
        is_complete: Whether all loads of the job are complete.
        is_unfinished: Whether a load that the run was asked for is incomplete.
        request: The request of an operator that is in force.
        run_problems: Problems that the run met.
        failures: Failures that workers recorded.
        broken_budgets: One problem for each error budget that is broken.
        unbalanced: Counts that don't add up.
        foreign_writes: Rows that others wrote meanwhile, which are no imbalance.
        unwritten_files: Error files that couldn't be written.
    """

    is_complete: bool
    is_unfinished: bool
    request: Wanted = "run"
    run_problems: tuple[Problem, ...] = ()
    failures: tuple[Problem, ...] = ()
    broken_budgets: tuple[Problem, ...] = ()
    unbalanced: tuple[Problem, ...] = ()
    foreign_writes: tuple[Problem, ...] = ()
    unwritten_files: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class OutcomeDecision:
    """The exit status of a run, the state in which it leaves the job, and the problems to print."""

    status: ExitStatus
    state: State
    problems: tuple[Problem, ...]


def decide_outcome(facts: EndFacts) -> OutcomeDecision:
    """Decides how a run ended.

    Args:
        facts: The state of ledger and databases.

    Returns:
        The status that the gravest problem gives, the state of the job, and all problems, with
        ``SILENT`` where rows are left and nothing says why.
    """
    status = _status(facts)
    problems = (
        *facts.unbalanced,
        *facts.run_problems,
        *facts.failures,
        *facts.broken_budgets,
        *facts.unwritten_files,
        *facts.foreign_writes,
    )
    if facts.is_unfinished and status is ExitStatus.INCOMPLETE and not problems:
        problems = (SILENT,)
    return OutcomeDecision(status, _state(facts), problems)


def _status(facts: EndFacts) -> ExitStatus:
    if any(problem.code is ErrorCode.SYS_003 for problem in facts.failures):
        return ExitStatus.CRASH
    if facts.unbalanced:
        return ExitStatus.OUT_OF_BALANCE
    if facts.broken_budgets or _state_on_request(facts):
        return ExitStatus.STOPPED
    if facts.is_unfinished or facts.run_problems or facts.unwritten_files:
        return ExitStatus.INCOMPLETE
    return ExitStatus.COMPLETE


def _state(facts: EndFacts) -> State:
    if facts.broken_budgets:
        return "stopped"
    # A job that doesn't add up stays open: otherwise a second start would take it for complete
    # instead of counting again.
    if facts.is_complete and not facts.run_problems and not facts.unbalanced:
        return "complete"
    return _state_on_request(facts) or "incomplete"


def _state_on_request(facts: EndFacts) -> State | None:
    """The state that an operator asked for, while the run has something left to do."""
    return _STATE_ON_REQUEST.get(facts.request) if facts.is_unfinished else None
