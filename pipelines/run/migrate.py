"""``migrate``: runs a job as far as it gets; called again, it continues where the ledger says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pipelines.databases.lost_sources import run_until_sources_last
from pipelines.incidents.triggers import handle_end_of_run
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.run_summary import read_summary
from pipelines.notify.notifier import Notifier
from pipelines.notify.run_notices import notice_of_end, notify_of_failure
from pipelines.planning.load_names import refuse_unknown_loads
from pipelines.run.job_run import RunRequest, run_once
from pipelines.run.outcome import RunOutcome
from pipelines.run.run_events import describe_counts
from pipelines.watch.control import wait_while_paused
from pipelines.watch.run_observer import RunObserver
from schemas.errors import Severity, TransfuseError
from schemas.specification.root import Specification
from transforms.model.log_event import EventPlace, log_event
from transforms.postgres.connections import connect
from transforms.postgres.refused_logins import forget_refused_logins

logger = logging.getLogger("transfuse.run")


def migrate(
    specification: Specification,
    flags: Sequence[str] = (),
    only: Sequence[str] = (),
    accept_changes: bool = False,
    observer: RunObserver | None = None,
) -> RunOutcome:
    """Run the job of a specification as far as it gets, and print nothing.

    While the job is paused, the call waits without a connection; then it continues the job like one
    that was killed.

    Args:
        specification: The job's.
        flags: Flags for Beam, such as ``--runner=FlinkRunner``.
        only: The loads to which the run is restricted, and its outcome too; none means all.
        accept_changes: Whether to continue a job whose specification has changed, and to leave
            written rows as they are.
        observer: Gets the reports of the run while it goes on; None for none.

    Returns:
        How the run ended, with the job's summary.

    Raises:
        TransfuseError: The run couldn't be started: exit status 2 if the specification or the
            databases don't permit it, 3 if a server can't be reached.
    """
    refuse_unknown_loads(specification, only)
    forget_refused_logins()
    observer = observer or RunObserver()
    with Notifier(specification) as notifier:
        request = RunRequest(specification, flags, only, accept_changes, observer, notifier)
        try:
            with notify_of_failure(notifier, "migrate"):
                outcome = _run_to_the_end(request)
        except TransfuseError as error:
            if any(problem.code.severity is Severity.CRITICAL for problem in error.problems):
                handle_end_of_run(specification, notifier, error.status, error.problems)
            raise
        if not outcome.already:
            summary = outcome.summary
            counts = describe_counts(summary)
            end = notice_of_end("migrate", summary.state, outcome.status, counts, outcome.problems)
            notifier.send(end)
            handle_end_of_run(specification, notifier, outcome.status, outcome.problems)
        return outcome


def _run_to_the_end(request: RunRequest) -> RunOutcome:
    """Run the job until it ends by anything but a pause or a lost source."""
    specification, observer = request.specification, request.observer

    def run() -> RunOutcome:
        return run_once(request)

    outcome = run_until_sources_last(specification, run, lambda ended: ended.loss)
    while outcome.summary.state == "paused":
        observer.report_pause(specification.job)
        place = EventPlace(specification.job)
        log_event(logger, logging.INFO, "the job is paused and waits", place)
        try:
            goes_on = wait_while_paused(specification) == "run"
        except KeyboardInterrupt:
            goes_on = False
        if not goes_on:
            log_event(logger, logging.INFO, "the paused job is to stop", place)
            return _close_paused(specification, outcome)
        log_event(logger, logging.INFO, "the paused job goes on", place)
        outcome = run_until_sources_last(specification, run, lambda ended: ended.loss)
    return outcome


def _close_paused(specification: Specification, outcome: RunOutcome) -> RunOutcome:
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ledger.job.close_run("stopped", 0.0)
        return replace(outcome, summary=read_summary(ledger))
