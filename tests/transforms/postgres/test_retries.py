"""Which failures are worth another attempt, and how many there are."""

from __future__ import annotations

import pytest

from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.run_context import Retrying
from transforms.postgres.retries import run_with_retries

QUICK = Retrying(attempts=3, delay=0.0)


def attempts(*codes: ErrorCode, retry: Retrying = QUICK) -> int:
    """How often work is tried that fails with problems of these codes each time."""
    count = 0

    def fail() -> None:
        nonlocal count
        count += 1
        raise TransfuseError([Problem(code, "it failed") for code in codes])

    with pytest.raises(TransfuseError):
        run_with_retries(retry, fail)
    return count


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([ErrorCode.CONN_001], 3),
        ([ErrorCode.CONN_002], 1),
        ([ErrorCode.CONN_003], 1),
        ([ErrorCode.CONN_004], 3),
        ([ErrorCode.CONN_005], 3),
        ([ErrorCode.USER_001], 1),
        ([ErrorCode.SYS_003], 1),
        # What can't pass isn't made better by what can.
        ([ErrorCode.CONN_001, ErrorCode.CONN_002], 1),
        ([ErrorCode.CONN_001, ErrorCode.CONN_004], 3),
    ],
)
def test_only_what_can_pass_is_tried_again(codes: list[ErrorCode], expected: int) -> None:
    assert attempts(*codes) == expected


@pytest.mark.parametrize("most", [1, 2, 4])
def test_the_limit_counts_the_first_attempt(most: int) -> None:
    assert attempts(ErrorCode.CONN_004, retry=Retrying(most, 0.0)) == most


def test_the_first_success_ends_it() -> None:
    results = iter([TransfuseError(Problem(ErrorCode.CONN_001, "it failed")), None])

    def work() -> str:
        error = next(results)
        if error is not None:
            raise error
        return "done"

    assert run_with_retries(QUICK, work) == "done"
    assert next(results, "all used") == "all used"


def test_a_defect_is_raised_as_it_is() -> None:
    def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_with_retries(QUICK, work)
