"""``rejects reopen``: takes back what ``rejects discard`` has done."""

from __future__ import annotations

import logging

from pipelines.ledger.audit_rows import describe_filter
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.ledger.violation_rows import ViolationCounts
from pipelines.rejects.reject_filter import never_ran, refuse_no_match, scope_problems
from schemas.errors import TransfuseError
from schemas.specification.root import Specification
from transforms.model.log_event import EventPlace, log_event
from transforms.postgres.connections import connect

logger = logging.getLogger("transfuse.rejects")


def reopen(
    specification: Specification, wanted: ViolationFilter, everything: bool = False
) -> ViolationCounts:
    """Reopen the discarded rows that match a filter.

    A row is reopened whole, as it was discarded: with all of its violations and warnings. A
    warning that was discarded without its row stays discarded if the row has been judged again
    since: the replay has recorded it again if it still holds. The counts of the job don't change,
    because discarded rows are counted as rejected too.

    Args:
        specification: That of the job.
        wanted: The filter (``filter_rejects``), of discarded violations.
        everything: Whether to reopen all discarded rows, with a filter that all of them match.

    Returns:
        How many were reopened.

    Raises:
        TransfuseError: USER-001 for neither a filter nor ``everything`` or both, and for a filter
            that nothing matches; USER-003 if the job is running or hasn't run.
    """
    problems = scope_problems(wanted, everything, "reopened")
    if problems:
        raise TransfuseError(problems)
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        if ledger.job.read() is None:
            raise TransfuseError(never_ran(specification))
        refuse_no_match(ledger, wanted, status="discarded")
        with ledger.lock.hold():
            ledger.maps.delete_left_over()
            with target.transaction():
                counts = ledger.violations.reopen(wanted)
                ledger.replays.relabel_losers(specification.tables)
                ledger.audit.record("reopen", rows=counts.rows, details=describe_filter(wanted))
    place = EventPlace(specification.job)
    text = f"rejected rows reopened: {counts.rows}, {counts.violations} violations"
    log_event(logger, logging.INFO, text, place)
    return counts
