"""``rejects discard``: give up rejected rows, with the reason on record."""

from __future__ import annotations

import logging

from pipelines.ledger.audit_rows import describe_filter
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.ledger.violation_rows import ViolationCounts
from pipelines.rejects.reject_filter import never_ran, refuse_no_match, scope_problems
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.model.log_event import EventPlace, log_event
from transforms.postgres.connections import connect

logger = logging.getLogger("transfuse.rejects")


def survey_discard(
    specification: Specification, wanted: ViolationFilter, reason: str, everything: bool = False
) -> ViolationCounts:
    """Count what ``discard`` would be about, and change nothing.

    Args:
        specification: That of the job.
        wanted: The filter.
        reason: As for ``discard``.
        everything: As for ``discard``.

    Returns:
        The open rejections that match the filter; ``discard`` takes the other violations of their
        rows along.

    Raises:
        TransfuseError: As ``discard`` raises.
    """
    _refuse_unclear(wanted, everything, reason)
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        _refuse_nothing(ledger, wanted)
        return ledger.violations.count(wanted)


def discard(
    specification: Specification, wanted: ViolationFilter, reason: str, everything: bool = False
) -> ViolationCounts:
    """Discard the rejected rows that match a filter.

    A row is discarded whole: all of its open violations, warnings too. It stays counted as
    rejected, because it isn't in the target, and its references no longer need to be settled. A
    warning that matches the filter itself is discarded without its row. Of rows without a source
    key each violation counts as a row.

    Args:
        specification: That of the job.
        wanted: The filter (``filter_rejects``).
        reason: Why; stored with each violation.
        everything: Whether to discard all rejected rows, with a filter that all of them match.

    Returns:
        How many were discarded.

    Raises:
        TransfuseError: USER-001 for a blank reason, for neither a filter nor ``everything`` or
            both, and for a filter that nothing matches; USER-003 if the job is running or hasn't
            run.
    """
    _refuse_unclear(wanted, everything, reason)
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        _refuse_nothing(ledger, wanted)
        with ledger.lock.hold():
            ledger.maps.delete_left_over()
            with target.transaction():
                counts = ledger.violations.discard(wanted, reason.strip())
                ledger.replays.relabel_losers(specification.tables)
                ledger.audit.record(
                    "discard",
                    rows=counts.rows,
                    reason=reason.strip(),
                    details=describe_filter(wanted),
                )
    place = EventPlace(specification.job)
    text = f"rejected rows discarded: {counts.rows}, {counts.violations} violations"
    log_event(logger, logging.INFO, text, place)
    return counts


def _refuse_unclear(wanted: ViolationFilter, everything: bool, reason: str) -> None:
    problems = []
    if not reason.strip():
        remedy = "say why these rows are given up"
        problems.append(Problem(ErrorCode.USER_001, "the reason is blank", "--reason", remedy))
    problems += scope_problems(wanted, everything, "discarded")
    if problems:
        raise TransfuseError(problems)


def _refuse_nothing(ledger: JobLedger, wanted: ViolationFilter) -> None:
    if ledger.job.read() is None:
        raise TransfuseError(never_ran(ledger.specification))
    refuse_no_match(ledger, wanted)
