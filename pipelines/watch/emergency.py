"""The emergency stop: nothing of a job, or of some of its loads, is written from now on.

It relies on no process of the run, which may hang: the number of the run is raised, so that no
worker can claim a partition, the sessions of the run are ended on the server, and at last the locks
are taken that each transaction of a run holds. Then none is open any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from pipelines.audit.actor import current_actor
from pipelines.connections.database_errors import translate_errors
from pipelines.incidents.triggers import open_incident
from pipelines.ledger.control_schema import create_control_tables, ensure_current_version
from pipelines.ledger.control_version import read_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_sessions import JobSessions
from pipelines.ledger.reset_command import resume_command
from pipelines.notify.notice import Notice
from pipelines.notify.notifier import Notifier
from pipelines.planning.load_names import refuse_unknown_loads
from schemas.errors import ErrorCode, ExitStatus, Problem, Severity, TransfuseError
from schemas.guide.incident import IncidentTrigger
from schemas.notice_events import NoticeEvent
from schemas.specification.root import Specification
from transforms.model.log_event import EventPlace, log_event
from transforms.postgres.connections import connect

logger = logging.getLogger("transfuse.control")

LONGEST_SECONDS = 30.0
"""How long the sessions of a run may take to end."""

PATIENCE = 5.0
"""Seconds that commits which are under way have to end by themselves when loads are isolated."""


@dataclass(frozen=True)
class EmergencyResult:
    """The effect of an emergency stop.

    Attributes:
        job: The job.
        loads: The loads that are isolated; none means that the whole job is halted.
        reason: Why.
        person: Who did it.
        terminated: The number of sessions that were ended.
        remaining: The sessions that the role may not end, by their ids on the server. They can't
            store rows any more.
        resume: The command that lifts the stop.
        is_notified: Whether a notice was sent to the channels of ``notify``.
        incident: The number of the incident.
    """

    job: str
    loads: tuple[str, ...]
    reason: str
    person: str
    terminated: int
    remaining: tuple[int, ...]
    resume: tuple[str, ...]
    is_notified: bool
    incident: str


def emergency_stop(
    specification: Specification, reason: str, loads: Sequence[str] = ()
) -> EmergencyResult:
    """Halt a job, or isolate loads of it; when the call returns nothing is written any more.

    Args:
        specification: The job's. It need not have run yet.
        reason: Why, for the record.
        loads: The loads to isolate; none means the whole job.

    Returns:
        What was done.

    Raises:
        TransfuseError: USER-001 for an unknown load; USER-002 if the role may not write control
            tables; SYS-005, exit status 3, if a transaction of the run doesn't end: the halt is in
            force, and the sessions that have to be ended are named.
    """
    refuse_unknown_loads(specification, loads)
    person = current_actor().person
    with (
        Notifier(specification, is_urgent=True) as notifier,
        connect(specification.target.url) as target,
    ):
        ledger = JobLedger(target, specification)
        ended = _stop_writers(ledger, loads, reason, person)
        cause = IncidentTrigger.EMERGENCY_STOP
        summary = f"emergency stop of {_objects(loads)}: {reason}"
        with translate_errors("the control tables"):
            incident, _ = open_incident(ledger, notifier, cause, summary)
        result = EmergencyResult(
            specification.job,
            tuple(loads),
            reason,
            person,
            len(ended.terminated),
            tuple(sorted(ended.refused)),
            tuple(resume_command(specification, load) for load in loads or ("",)),
            bool(specification.notify),
            incident,
        )
        notifier.send(_notice_of(result))
        place = EventPlace(specification.job)
        log_event(logger, logging.WARNING, f"emergency stop of {_objects(result.loads)}", place)
        return result


def _stop_writers(
    ledger: JobLedger, loads: Sequence[str], reason: str, person: str
) -> _EndedSessions:
    """Halt the job or isolate loads, in control tables that are there afterwards."""
    with translate_errors("the control tables"):
        ensure_current_version(ledger)
        if read_version(ledger.connection, ledger.specification) is None:
            create_control_tables(ledger.specification)
        if loads:
            return _isolate(ledger, loads, reason, person)
        return _halt(ledger, reason, person)


class _EndedSessions:
    """The sessions that were ended, and those that the role may not end."""

    def __init__(self, sessions: JobSessions) -> None:
        self._sessions = sessions
        self.terminated: set[int] = set()
        self.refused: set[int] = set()

    def end(self, only_locking: bool = False) -> None:
        for pid in self._sessions.find(only_locking):
            (self.terminated if self._sessions.terminate(pid) else self.refused).add(pid)


def _halt(ledger: JobLedger, reason: str, person: str) -> _EndedSessions:
    ended = _EndedSessions(ledger.sessions)

    def store() -> bool:
        try:
            ledger.halts.halt_job(reason, person)
        except psycopg.errors.LockNotAvailable:
            # A frozen session of the run may hold the job's row.
            ended.end()
            return False
        return True

    def is_quiet() -> bool:
        ended.end()
        return ledger.sessions.wait_for_commits(1) and ledger.sessions.wait_for_launcher(1)

    if not _repeat_until(store, LONGEST_SECONDS):
        raise _unfinished(ledger, ended, "the job's row is locked, and nothing was stopped")
    if not _repeat_until(is_quiet, LONGEST_SECONDS):
        raise _unfinished(ledger, ended, "the job is halted, but a transaction of it is open still")
    return ended


def _isolate(ledger: JobLedger, loads: Sequence[str], reason: str, person: str) -> _EndedSessions:
    ended = _EndedSessions(ledger.sessions)
    ledger.halts.isolate(loads, reason, person)
    if ledger.sessions.wait_for_commits(PATIENCE):
        return ended

    def is_quiet() -> bool:
        # That of the launcher too: what it was doing is repeated by the next 'migrate'.
        ended.end(only_locking=True)
        return ledger.sessions.wait_for_commits(1)

    if not _repeat_until(is_quiet, LONGEST_SECONDS):
        message = "the loads are isolated, but a transaction of the job is open still"
        raise _unfinished(ledger, ended, message)
    return ended


def _repeat_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Try until a condition holds; False if it doesn't after some time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True


def _unfinished(ledger: JobLedger, ended: _EndedSessions, message: str) -> TransfuseError:
    pids = sorted(ended.refused or ledger.sessions.find(only_locking=True))
    statements = " ".join(f"SELECT pg_terminate_backend({pid});" for pid in pids)
    remedy = f"as a superuser of the target: {statements or 'look at pg_locks'}; then repeat this"
    place = f"job {ledger.specification.job}"
    return TransfuseError(Problem(ErrorCode.SYS_005, message, place, remedy), ExitStatus.INCOMPLETE)


def _objects(loads: Sequence[str]) -> str:
    return f"the loads {', '.join(loads)}" if loads else "the job"


def _notice_of(result: EmergencyResult) -> Notice:
    return Notice(
        NoticeEvent.EMERGENCY_STOP,
        Severity.CRITICAL,
        f"emergency stop of {_objects(result.loads)} by {result.person}",
        (
            f"Reason: {result.reason}",
            f"Sessions ended on the target: {result.terminated}",
            "Nothing of it is written to the target any more.",
            f"To lift it: {'; '.join(result.resume)}",
        ),
    )
