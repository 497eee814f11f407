"""Runs conversations with a database again after errors that can pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import tenacity

from schemas.errors import ErrorCode, TransfuseError
from transforms.model.log_event import NOWHERE, EventPlace, log_event
from transforms.model.run_context import Retrying
from transforms.postgres.connection_failures import PASSING, HostUnknown
from transforms.postgres.database_problems import describe_error, may_pass
from transforms.postgres.snapshot import SnapshotGone

logger = logging.getLogger("transfuse.retries")

Result = TypeVar("Result")

LONGEST_DELAY = 60.0
"""Seconds between two tries at most: a server that restarts is back within a minute."""

_LOOK_UPS = 2
"""How often a host's name is looked up, with a second between: a mistyped one stays unknown."""


def run_with_retries(
    retry: Retrying,
    work: Callable[[], Result],
    about: str = "",
    place: EventPlace = NOWHERE,
) -> Result:
    """Run ``work``, again after errors that can pass, with growing delays and jitter.

    Each delay is logged with the code of the error.

    Args:
        retry: how often, and how long to wait.
        work: may be called several times.
        about: the place that the log names for errors that name none.
        place: the part of the job that the conversation is about.

    Returns:
        The result of ``work``.

    Raises:
        Exception: the error of the last attempt.
    """
    growing = tenacity.wait_exponential_jitter(retry.delay, LONGEST_DELAY, jitter=retry.delay)

    def report(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        code, where, message = _describe(error)
        next_attempt, most = state.attempt_number + 1, _most_attempts(retry, state)
        log_event(
            logger,
            logging.WARNING,
            f"{message}: tried again in {seconds:.1f} s (attempt {next_attempt} of {most})",
            place,
            code,
            where or about,
            attempt=next_attempt,
            delay=round(seconds, 1),
        )

    return tenacity.Retrying(
        stop=lambda state: state.attempt_number >= _most_attempts(retry, state),
        wait=lambda state: min(growing(state), 1.0) if _is_unknown_host(state) else growing(state),
        retry=tenacity.retry_if_exception(_may_pass),
        before_sleep=report,
        reraise=True,
    )(work)


def _most_attempts(retry: Retrying, state: tenacity.RetryCallState) -> int:
    return min(retry.attempts, _LOOK_UPS) if _is_unknown_host(state) else retry.attempts


def _is_unknown_host(state: tenacity.RetryCallState) -> bool:
    return state.outcome is not None and isinstance(state.outcome.exception(), HostUnknown)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, SnapshotGone):
        return False
    if isinstance(error, TransfuseError):
        return all(problem.code in PASSING for problem in error.problems)
    return may_pass(error)


def _describe(error: BaseException | None) -> tuple[ErrorCode | None, str, str]:
    """The code, the place if the error names one, and the message."""
    if isinstance(error, TransfuseError):
        problem = error.problems[0]
        return problem.code, problem.where, problem.message
    if isinstance(error, Exception):
        code, message, _ = describe_error(error, "")
        return code, "", message
    return None, "", type(error).__name__
