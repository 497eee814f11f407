"""Work that goes on under another snapshot when a source has lost the one that it was begun under.

A standby cancels reads in favor of its primary's changes, an administrator ends sessions, a server
is restarted: what isn't read yet is read from a new snapshot, as after any other end of a run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from schemas.errors import Problem
from schemas.specification.root import Specification
from transforms.model.log_event import EventPlace, log_event
from transforms.postgres.retries import LONGEST_DELAY
from transforms.postgres.snapshot import SnapshotGone

logger = logging.getLogger("transfuse.run")

Result = TypeVar("Result")


def run_until_sources_last(
    specification: Specification,
    run: Callable[[], Result],
    loss_of: Callable[[Result], Problem | None] = lambda _: None,
) -> Result:
    """Runs something that reads sources, again where one has lost its snapshot.

    Args:
        specification: its ``limits.retry`` says how often, and after which delay.
        run: opens the sources, reads them and closes them.
        loss_of: whether a result lacks something because a snapshot was lost.

    Returns:
        The first result that lacks nothing, or that of the last attempt.

    Raises:
        SnapshotGone: where the last attempt has lost its snapshot as well.
    """
    retry = specification.limits.retry
    for attempt in range(1, retry.attempts + 1):
        try:
            result = run()
            problem = loss_of(result)
            if problem is None or attempt == retry.attempts:
                return result
        except SnapshotGone as gone:
            if attempt == retry.attempts:
                raise
            problem = gone.problems[0]
        delay = min(retry.delay * 2 ** (attempt - 1), LONGEST_DELAY)
        log_event(
            logger,
            logging.WARNING,
            f"{problem.message}: read again under another snapshot in {delay:.1f} s"
            f" (attempt {attempt + 1} of {retry.attempts})",
            EventPlace(specification.job),
            problem.code,
            problem.where,
        )
        time.sleep(delay)
    raise AssertionError("limits.retry allows no attempt")
