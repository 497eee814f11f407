"""The exit status and the job's state for each way in which a run can end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.ledger.failures import SILENT
from pipelines.run.outcome_decision import EndFacts, decide_outcome
from schemas.errors import ErrorCode, ExitStatus, Problem
from schemas.summary import State

MET = (Problem(ErrorCode.SYS_005, "the source has changed"),)
FAILED = (Problem(ErrorCode.CONN_004, "the connection was lost"),)
CRASHED = (Problem(ErrorCode.SYS_003, "a step raised an error"),)
BUDGET = (Problem(ErrorCode.DATA_005, "the error budget is broken"),)
UNBALANCED = (Problem(ErrorCode.SYS_005, "counts don't add up"),)
FOREIGN = (Problem(ErrorCode.SYS_005, "another writer added rows"),)
UNWRITTEN = (Problem(ErrorCode.USER_001, "a file can't be written"),)

DONE = EndFacts(is_complete=True, is_unfinished=False)
PARTIAL = EndFacts(is_complete=False, is_unfinished=False)
"""All loads that were asked for are complete, others of the job are not."""
LEFT = EndFacts(is_complete=False, is_unfinished=True)


@pytest.mark.parametrize(
    ("facts", "status", "state"),
    [
        (DONE, ExitStatus.COMPLETE, "complete"),
        (PARTIAL, ExitStatus.COMPLETE, "incomplete"),
        (LEFT, ExitStatus.INCOMPLETE, "incomplete"),
        (replace(LEFT, failures=FAILED), ExitStatus.INCOMPLETE, "incomplete"),
        (replace(LEFT, failures=CRASHED), ExitStatus.CRASH, "incomplete"),
        (replace(LEFT, request="pause"), ExitStatus.STOPPED, "paused"),
        (replace(LEFT, request="stop"), ExitStatus.STOPPED, "stopped"),
        (replace(DONE, request="pause"), ExitStatus.COMPLETE, "complete"),
        (replace(PARTIAL, request="stop"), ExitStatus.COMPLETE, "incomplete"),
        (replace(DONE, run_problems=MET), ExitStatus.INCOMPLETE, "incomplete"),
        (replace(DONE, failures=FAILED), ExitStatus.COMPLETE, "complete"),
        (replace(DONE, foreign_writes=FOREIGN), ExitStatus.COMPLETE, "complete"),
        (replace(DONE, unwritten_files=UNWRITTEN), ExitStatus.INCOMPLETE, "complete"),
        (replace(DONE, unbalanced=UNBALANCED), ExitStatus.OUT_OF_BALANCE, "incomplete"),
        (replace(DONE, broken_budgets=BUDGET), ExitStatus.STOPPED, "stopped"),
        (replace(LEFT, request="pause", broken_budgets=BUDGET), ExitStatus.STOPPED, "stopped"),
        (
            replace(LEFT, broken_budgets=BUDGET, unbalanced=UNBALANCED),
            ExitStatus.OUT_OF_BALANCE,
            "stopped",
        ),
        (
            replace(LEFT, request="stop", unbalanced=UNBALANCED, failures=CRASHED),
            ExitStatus.CRASH,
            "stopped",
        ),
    ],
)
def test_the_gravest_problem_decides(facts: EndFacts, status: ExitStatus, state: State) -> None:
    decision = decide_outcome(facts)
    assert (decision.status, decision.state) == (status, state)


def test_all_problems_are_reported_in_order() -> None:
    facts = replace(
        LEFT,
        run_problems=MET,
        failures=FAILED,
        broken_budgets=BUDGET,
        unbalanced=UNBALANCED,
        foreign_writes=FOREIGN,
        unwritten_files=UNWRITTEN,
    )
    expected = (*UNBALANCED, *MET, *FAILED, *BUDGET, *UNWRITTEN, *FOREIGN)
    assert decide_outcome(facts).problems == expected


def test_rows_that_are_left_without_a_reason_are_reported() -> None:
    assert decide_outcome(LEFT).problems == (SILENT,)
    assert decide_outcome(replace(LEFT, foreign_writes=FOREIGN)).problems == FOREIGN
    assert decide_outcome(replace(LEFT, request="stop")).problems == ()
    assert decide_outcome(PARTIAL).problems == ()
