"""An error budget is broken past its limit, and not at it."""

from __future__ import annotations

import pytest

from schemas.errors import ErrorCode
from transforms.ledger.error_budgets import broken_budgets_of_load
from transforms.model.run_context import ErrorBudget

CODE = ErrorCode.TRANS_002


@pytest.mark.parametrize(
    ("budget", "candidates", "rejected", "of_code", "broken"),
    [
        (ErrorBudget(), 10_000, 10_000, 10_000, []),
        # A number of rows.
        (ErrorBudget(rejected=0), 5, 0, 0, []),
        (ErrorBudget(rejected=0), 5, 1, 0, [None]),
        (ErrorBudget(rejected=10), 5_000, 10, 0, []),
        (ErrorBudget(rejected=10), 5_000, 11, 0, [None]),
        # A share of the candidates, as soon as there are enough of them.
        (ErrorBudget(rejected=0.01), 5_000, 50, 0, []),
        (ErrorBudget(rejected=0.01), 5_000, 51, 0, [None]),
        (ErrorBudget(rejected=0.01), 999, 999, 0, []),
        (ErrorBudget(rejected=0.01), 1_000, 11, 0, [None]),
        (ErrorBudget(rejected=0.01, min_rows=5), 5, 1, 0, [None]),
        (ErrorBudget(rejected=1.0), 5_000, 5_000, 0, []),
        # Of one code.
        (ErrorBudget(codes={CODE: 2}), 50, 40, 2, []),
        (ErrorBudget(codes={CODE: 2}), 50, 40, 3, [CODE]),
        (ErrorBudget(codes={CODE: 0.5}), 2_000, 1_500, 1_000, []),
        (ErrorBudget(codes={CODE: 0.5}), 2_000, 1_500, 1_001, [CODE]),
        (ErrorBudget(rejected=1, codes={CODE: 1}), 50, 2, 2, [None, CODE]),
    ],
)
def test_limits(
    budget: ErrorBudget,
    candidates: int,
    rejected: int,
    of_code: int,
    broken: list[ErrorCode | None],
) -> None:
    found = broken_budgets_of_load(budget, "load", candidates, rejected, {CODE.value: of_code})
    assert [one.code for one in found] == broken
