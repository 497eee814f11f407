"""The work of people on incidents: list, show, acknowledge, escalate, close; and the check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.incidents.incident_notice import notice_of_incident
from pipelines.incidents.triggers import check_job
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.notify.notifier import Notifier
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.guide.incident import Incident
from schemas.guide.support_levels import RESPONSES
from schemas.notice_events import NoticeEvent
from schemas.specification.root import Specification
from transforms.postgres.connections import connect


def list_incidents(specification: Specification) -> list[Incident]:
    """Read the incidents of a job, the latest first."""
    with _open(specification) as ledger:
        return ledger.incidents.read_all() if ledger.incidents.can_be_read else []


def show_incident(specification: Specification, number: str) -> Incident:
    """Read an incident. Raises TransfuseError: USER-001 if the job has none of this number."""
    with _open(specification) as ledger:
        return _read(ledger, number)


def acknowledge_incident(specification: Specification, number: str) -> Incident:
    """Record that somebody deals with an open incident; time doesn't escalate it any more.

    Raises:
        TransfuseError: USER-001 for an unknown number; USER-003 for a closed incident.
    """
    with _open(specification) as ledger, ledger.connection.transaction():
        _read_open(ledger, number)
        ledger.incidents.acknowledge(number)
        return _read(ledger, number)


def escalate_incident(specification: Specification, number: str, reason: str) -> Incident:
    """Raise an incident by one level, with a notice.

    Raises:
        TransfuseError: USER-001 for an unknown number; USER-003 for a closed incident, and for one
            of the last level.
    """
    with Notifier(specification, is_urgent=True) as notifier, _open(specification) as ledger:
        with ledger.connection.transaction():
            incident = _read_open(ledger, number)
            if incident.level >= 4:
                raise _refusal(number, "is on the last level", "ask the contacts of 'show'")
            within = RESPONSES[incident.severity].response_time
            if not ledger.incidents.escalate(incident, reason, within):
                raise _refusal(number, "was changed meanwhile", "look at 'incidents show'")
        raised = _read(ledger, number)
        event = NoticeEvent.INCIDENT_ESCALATED
        notifier.send(notice_of_incident(specification, raised, event, reason))
        return raised


def close_incident(specification: Specification, number: str, resolution: str) -> Incident:
    """Close an incident, with a notice. Raises TransfuseError as ``acknowledge_incident``."""
    with Notifier(specification, is_urgent=True) as notifier, _open(specification) as ledger:
        with ledger.connection.transaction():
            _read_open(ledger, number)
            ledger.incidents.close(number, resolution)
        closed = _read(ledger, number)
        event = NoticeEvent.INCIDENT_CLOSED
        notifier.send(notice_of_incident(specification, closed, event, resolution))
        return closed


def check_incidents(specification: Specification) -> list[str]:
    """Do what is due by time, as a timer calls it; returns what was done, in sentences."""
    with Notifier(specification, is_urgent=True) as notifier, _open(specification) as ledger:
        return check_job(ledger, notifier) if ledger.incidents.can_be_read else []


@contextmanager
def _open(specification: Specification) -> Iterator[JobLedger]:
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        yield ledger


def _read(ledger: JobLedger, number: str) -> Incident:
    incident = ledger.incidents.read(number) if ledger.incidents.can_be_read else None
    if incident is None:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the job has no incident '{number}'",
                "ID",
                f"transfuse incidents list {ledger.specification.file}",
            )
        )
    return incident


def _read_open(ledger: JobLedger, number: str) -> Incident:
    incident = _read(ledger, number)
    if incident.status == "closed":
        raise _refusal(number, "is closed", "look at it with 'incidents show'")
    return incident


def _refusal(number: str, predicate: str, remedy: str) -> TransfuseError:
    return TransfuseError(Problem(ErrorCode.USER_003, f"{number} {predicate}", "", remedy))
