"""Conversations with a database that are tried again after what can pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import tenacity

from schemas.errors import TransfuseError
from transforms.connection_failures import PASSING
from transforms.diagnosis import diagnosis_of, may_pass
from transforms.partitions.snapshot import SnapshotGone
from transforms.run_context import Retrying

logger = logging.getLogger("transfuse")

Result = TypeVar("Result")

LONGEST_DELAY = 60.0
"""Seconds between two tries at most: a server that restarts is back within a minute."""


def retried(retry: Retrying, work: Callable[[], Result], about: str = "") -> Result:
    """Runs ``work``, again after errors that can pass, with growing delays and jitter.

    Each delay is told on stderr with the error's code, ``about`` what. What the last attempt
    raises is raised.
    """

    def tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        logger.warning(
            "%s: tried again in %.1f s (attempt %d of %d)",
            _told(error, about),
            seconds,
            state.attempt_number + 1,
            retry.attempts,
        )

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(retry.attempts),
        wait=tenacity.wait_exponential_jitter(retry.delay, LONGEST_DELAY, jitter=retry.delay),
        retry=tenacity.retry_if_exception(_may_pass),
        before_sleep=tell,
        reraise=True,
    )(work)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, SnapshotGone):
        return False
    if isinstance(error, TransfuseError):
        return all(problem.code in PASSING for problem in error.problems)
    return may_pass(error)


def _told(error: BaseException | None, about: str) -> str:
    if isinstance(error, TransfuseError):
        problem = error.problems[0]
        code, where, message = problem.code, problem.where or about, problem.message
    elif isinstance(error, Exception):
        code, message, _ = diagnosis_of(error, "")
        where = about
    else:
        return about
    return " ".join(filter(None, (code.value, where))) + f": {message}"
