"""Opens incidents on the guide's triggers, and escalates those that nobody acknowledges."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import psycopg

from pipelines.incidents.incident_notice import notice_of_incident
from pipelines.ledger.incident_rows import NewIncident
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.run_summary import read_summary
from pipelines.notify.notifier import Notifier
from schemas.errors import ErrorCode, ExitStatus, Problem, Severity, TransfuseError
from schemas.guide.incident import IncidentTrigger
from schemas.guide.support_levels import RESPONSES
from schemas.notice_events import NoticeEvent
from schemas.specification.root import Specification
from transforms.model.log_event import log_problem
from transforms.postgres.connections import connect

logger = logging.getLogger("transfuse.incidents")


def open_incident(
    ledger: JobLedger,
    notifier: Notifier,
    trigger: IncidentTrigger,
    summary: str,
    code: ErrorCode | None = None,
) -> tuple[str, bool]:
    """Open a critical incident with a notice, or add to the open one of its trigger and code.

    Args:
        ledger: The job's.
        notifier: Sends the notice.
        trigger: What opens it.
        summary: What happened, without values of rows.
        code: The error code, which is the subject.

    Returns:
        The id, and whether the incident is new.
    """
    response = RESPONSES[Severity.CRITICAL]
    new = NewIncident(
        trigger,
        "" if code is None else code.value,
        code,
        Severity.CRITICAL,
        response.support_level,
        summary,
        _read_impact(ledger),
        response.response_time,
    )
    number, is_new = ledger.incidents.open(new)
    incident = ledger.incidents.read(number)
    if is_new and incident is not None:
        event = NoticeEvent.INCIDENT_OPENED
        notifier.send(notice_of_incident(ledger.specification, incident, event))
    return number, is_new


def _read_impact(ledger: JobLedger) -> dict[str, int]:
    loads = read_summary(ledger).tables.values()
    return {
        "tables": len(loads),
        "tables not complete": sum(load.partitions_done < load.partitions for load in loads),
        "rows written": sum(load.written for load in loads),
        "rows rejected": sum(load.rejected for load in loads),
    }


def check_job(ledger: JobLedger, notifier: Notifier) -> list[str]:
    """Do what is due by time: find a job that is down, and escalate overdue incidents.

    Args:
        ledger: The job's.
        notifier: Sends the notices.

    Returns:
        What was done, in sentences.
    """
    actions = []
    specification = ledger.specification
    seconds = ledger.incidents.read_down_seconds()
    is_idle = seconds is not None and read_summary(ledger).state == "incomplete"
    if is_idle and seconds is not None and seconds > specification.escalation.down_after:
        summary = f"the job has been incomplete and not running for {int(seconds) // 60} minutes"
        number, is_new = open_incident(ledger, notifier, IncidentTrigger.DOWNTIME, summary)
        actions.append(f"{number} {'opened' if is_new else 'continues'}: {summary}")
    for incident in ledger.incidents.read_overdue():
        response = RESPONSES[incident.severity]
        reason = "nobody acknowledged it in time"
        if not ledger.incidents.escalate(incident, reason, response.response_time):
            continue
        raised = ledger.incidents.read(incident.id)
        if raised is not None:
            event = NoticeEvent.INCIDENT_ESCALATED
            notifier.send(notice_of_incident(specification, raised, event, reason))
            actions.append(f"{raised.id} escalated to level {raised.level}: {reason}")
    return actions


def handle_end_of_run(
    specification: Specification,
    notifier: Notifier,
    status: ExitStatus,
    problems: Sequence[Problem],
) -> None:
    """Open the incidents of a run that has ended, and escalate overdue ones; never raises.

    Args:
        specification: The job's.
        notifier: Sends the notices.
        status: The exit status of the run.
        problems: The problems that it met.
    """
    try:
        with connect(specification.target.url) as target:
            ledger = JobLedger(target, specification)
            if not ledger.incidents.can_be_read:
                return
            critical = {p.code for p in problems if p.code.severity is Severity.CRITICAL}
            for code in sorted(critical, key=lambda one: one.value):
                summary = f"{code.value} {code.description} at the end of a run"
                open_incident(ledger, notifier, IncidentTrigger.CRITICAL_ERROR, summary, code)
            if status is ExitStatus.OUT_OF_BALANCE:
                summary = "the counts of the job are out of balance (exit status 5)"
                open_incident(ledger, notifier, IncidentTrigger.CORRUPTION, summary)
            check_job(ledger, notifier)
    except (TransfuseError, psycopg.Error) as error:
        log_problem(
            logger,
            logging.WARNING,
            Problem(
                ErrorCode.SYS_005,
                f"incidents couldn't be looked after: {type(error).__name__}",
                f"job {specification.job}",
                f"transfuse incidents check {specification.file}",
            ),
        )
