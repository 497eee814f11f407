"""The events of a run in the log: it begins, it ends, with counts and time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.ledger.job_ledger import JobLedger
from pipelines.run.outcome import RunOutcome
from schemas.summary import Summary
from transforms.model.log_event import EventPlace, log_event
from transforms.model.run_context import RunContext

logger = logging.getLogger("transfuse.run")


class RunEvents:
    """Logs one run of a job, whose partitions are planned.

    Args:
        ledger: The job's.
        context: The run's.
        begun: When it began, by ``time.monotonic``.
    """

    def __init__(self, ledger: JobLedger, context: RunContext, begun: float) -> None:
        self._place = EventPlace.of(context)
        self._begun = begun
        progress = ledger.counts.read_progress()
        self._rows_before = progress.read if progress else 0
        planned = progress.planned if progress else 0
        log_event(
            logger,
            logging.INFO,
            f"the run begins: {planned} rows of {len(context.programs)} loads are planned,"
            f" {self._rows_before} are read already",
            self._place,
            planned=planned,
            read_before=self._rows_before,
        )

    def log_end(self, outcome: RunOutcome) -> RunOutcome:
        """Log how the run ended; the rows of its rate are those that it has read itself.

        Returns:
            The outcome.
        """
        summary = outcome.summary
        seconds = time.monotonic() - self._begun
        rows = max(0, sum(load.read for load in summary.tables.values()) - self._rows_before)
        log_event(
            logger,
            logging.INFO,
            f"run ended: the job is {summary.state}, exit status {int(outcome.status)};"
            f" {describe_counts(summary)}",
            self._place,
            state=summary.state,
            status=int(outcome.status),
            rows=rows,
            seconds=round(seconds, 3),
            rows_per_second=round(rows / max(seconds, 0.001)),
        )
        return outcome


@contextmanager
def log_crash(context: RunContext) -> Iterator[None]:
    """Log that a run ended by an exception, which the command reports."""
    try:
        yield
    except BaseException as error:
        kind = type(error).__name__
        place = EventPlace.of(context)
        log_event(logger, logging.INFO, f"the run ends by {kind}", place, kind=kind)
        raise


def describe_counts(summary: Summary) -> str:
    """The counts of a job over all loads, in words."""
    loads = summary.tables.values()
    totals = {
        name: sum(getattr(load, name) for load in loads)
        for name in ("read", "accepted", "rejected", "skipped", "written")
    }
    return ", ".join(f"{count} {name}" for name, count in totals.items())
