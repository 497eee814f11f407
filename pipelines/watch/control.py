"""``pause``, ``resume``, ``stop``: requests to a job, stored in its row.

Workers look there before each partition, on any runner; the process that launched a paused run
looks there until it is to go on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from pipelines.connections.patient_connections import connect_patiently
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_row import Wanted
from pipelines.ledger.run_summary import read_summary
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from schemas.summary import Summary
from transforms.model.log_event import EventPlace, log_event
from transforms.postgres.connections import connect

logger = logging.getLogger("transfuse.control")

INTERVAL = 1.0
"""Seconds between two looks at what is wanted; each has a connection of its own."""

PATIENCE = 10.0
"""Seconds after which a paused run that doesn't go on is taken for dead."""


class ControlEffect(Enum):
    """What a job does after it was asked to pause, to go on or to stop."""

    PAUSES = "pauses"
    GOES_ON = "goes on"
    STOPS = "stops"
    IS_STOPPED = "is stopped"
    IS_RELEASED = "is released from its emergency stop"
    IS_ABANDONED = "is abandoned"
    """It is stopped, and the process that launched it was gone before: an engine may go on with
    what it has in work."""


@dataclass(frozen=True)
class ControlResult:
    """The answer to ``pause``, ``resume`` or ``stop``.

    Attributes:
        effect: What the job does now.
        summary: Its counts at this moment.
    """

    effect: ControlEffect
    summary: Summary


def pause(specification: Specification) -> ControlResult:
    """Ask a running job to pause: it commits what is in work, and then holds no connection.

    Args:
        specification: The job's.

    Returns:
        The effect, and the job's summary.

    Raises:
        TransfuseError: USER-003 if the job isn't running.
    """
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        _refuse_unless(ledger, ("running",), "pause")
        _store_request(ledger, "pause", "pause")
        return _result(ledger, ControlEffect.PAUSES)


def stop(specification: Specification) -> ControlResult:
    """Ask a running or paused job to stop; ``migrate`` continues it.

    A run whose launcher was killed is stopped too, because an engine may go on with it.

    Args:
        specification: The job's.

    Returns:
        The effect, and the job's summary.

    Raises:
        TransfuseError: USER-003 if the job is neither running nor paused.
    """
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        if _stop_without_launcher(ledger):
            return _result(ledger, ControlEffect.IS_ABANDONED)
        state = _refuse_unless(ledger, ("running", "paused"), "stop")
        _store_request(ledger, "stop", "stop")
        if state != "paused":
            return _result(ledger, ControlEffect.STOPS)
        ledger.job.stop_paused()
        return _result(ledger, ControlEffect.IS_STOPPED)


def resume(specification: Specification, loads: Sequence[str] = ()) -> ControlResult:
    """Have a paused job go on, and wait until it does; or lift an emergency stop.

    Args:
        specification: The job's.
        loads: Loads whose isolation is lifted.

    Returns:
        The effect, and the job's summary.

    Raises:
        TransfuseError: USER-003 if the job isn't paused, or if the process that paused is gone.
    """
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        if _lift_halts(ledger, loads):
            return _result(ledger, ControlEffect.IS_RELEASED)
        state = _refuse_unless(ledger, ("running", "paused"), "resume")
        if state == "running" and ledger.job.read_wanted() != "pause":
            raise _refusal(specification, "is running already", "look at 'status'")
        # A run that is still pausing would miss the partitions that it has passed over.
        _wait_until(lambda: _read_state(ledger) != "running")
        _store_request(ledger, "run", "resume")
        if not _wait_until(lambda: _read_state(ledger) != "paused", PATIENCE):
            raise _refusal(
                specification,
                "is paused, and the process that ran it doesn't answer",
                "start it again with 'migrate'",
            )
        return _result(ledger, ControlEffect.GOES_ON)


def _lift_halts(ledger: JobLedger, loads: Sequence[str]) -> bool:
    """Lift the emergency stop of loads, or else of the job; False if the job has none.

    Raises TransfuseError: USER-003 for a load that isn't isolated.
    """
    halted = {halt.load for halt in ledger.halts.read()}
    missing = [load for load in loads if load not in halted]
    if missing:
        message = f"no emergency stop isolates {', '.join(missing)}"
        raise TransfuseError(
            Problem(ErrorCode.USER_003, message, "--table", "name isolated loads only")
        )
    lifted = [load for load in loads or {""} & halted if ledger.halts.lift(load)]
    return bool(lifted)


def _stop_without_launcher(ledger: JobLedger) -> bool:
    """Stop a run whose launcher is gone; False if there is none."""
    job = ledger.job.read()
    if job is None or job.state != "running":
        return False
    with ledger.connection.transaction():
        if ledger.lock.is_running():
            return False
        ledger.job.stop_at_once()
        ledger.audit.record("stop")
    return True


def _store_request(ledger: JobLedger, wanted: Wanted, action: str) -> None:
    """Store what is wanted of the job, and who wants it."""
    with ledger.connection.transaction():
        ledger.job.set_wanted(wanted)
        ledger.audit.record(action)


def wait_while_paused(specification: Specification) -> Wanted:
    """Wait, without a connection, until something other than a pause is wanted.

    Args:
        specification: That of a paused job.

    Returns:
        What is wanted instead: to run, or to stop.
    """
    while True:
        with connect_patiently(specification, specification.target.url) as target:
            wanted = JobLedger(target, specification).job.read_wanted()
        if wanted != "pause":
            return wanted
        time.sleep(INTERVAL)


def _refuse_unless(
    ledger: JobLedger,
    states: tuple[str, ...],
    verb: str,
) -> str:
    """Read the job's state from its row. Raises TransfuseError if it is none of ``states``."""
    job = ledger.job.read()
    if job is None:
        raise _refusal(ledger.specification, "has not run yet", "start it with 'migrate'")
    state = read_summary(ledger).state
    # A run that is pausing is shown as paused, and can still be asked for something else.
    stored = job.state if state == "paused" else state
    if stored not in states:
        remedy = "nothing is left to do" if state == "complete" else "continue it with 'migrate'"
        raise _refusal(ledger.specification, f"is {state}: there is nothing to {verb}", remedy)
    return stored


def _read_state(ledger: JobLedger) -> str:
    job = ledger.job.read()
    return "incomplete" if job is None else job.state


def _wait_until(condition: Callable[[], bool], patience: float | None = None) -> bool:
    """Wait for a condition, at most ``patience`` seconds; False if it still doesn't hold then."""
    begun = time.monotonic()
    while not condition():
        if patience is not None and time.monotonic() - begun > patience:
            return False
        time.sleep(INTERVAL / 4)
    return True


def _refusal(specification: Specification, predicate: str, remedy: str) -> TransfuseError:
    message = f"the job '{specification.job}' {predicate}"
    return TransfuseError(Problem(ErrorCode.USER_003, message, remedy=remedy))


def _result(ledger: JobLedger, effect: ControlEffect) -> ControlResult:
    place = EventPlace(ledger.specification.job)
    log_event(logger, logging.INFO, f"on request the job {effect.value}", place)
    return ControlResult(effect, read_summary(ledger))
