"""Why a job is incomplete: failures that workers recorded, and loads that wait for others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.partition_rows import StoredFailure
from schemas.errors import ErrorCode, Problem
from schemas.recorded_failure import split_remedy

SILENT = Problem(
    ErrorCode.CONN_004,
    "some rows were not processed and no worker recorded a reason; a worker that can't reach the"
    " target can't record one",
    "the target, as the workers reach it",
    "see the log of the pool of workers or of the engine; check that the workers have the network,"
    " the service file and the passwords that the launcher has",
)
"""The problem where rows are left and no failure is on record."""


def read_failures(ledger: JobLedger) -> tuple[Problem, ...]:
    """Read the failures that left the job incomplete.

    Returns:
        One problem for each load and cause.
    """
    remedy = "start again: only what is missing is done"
    failures = ledger.partitions.read_failures()
    return tuple(_problem(failure, "{} failed", remedy) for failure in failures)


def read_replay_failures(ledger: JobLedger) -> tuple[Problem, ...]:
    """Read the failures for which the last replay has left rejected rows.

    Returns:
        One problem for each load and cause.
    """
    remedy = "replay again: rows that are left are as they were"
    failures = ledger.partitions.read_replay_failures()
    return tuple(_problem(each, "rejected rows of {} are left", remedy) for each in failures)


def _problem(failure: StoredFailure, effect: str, remedy: str) -> Problem:
    place = f"table {failure.load}"
    message, cause = split_remedy(failure.error)
    if failure.partitions:
        number = f"{failure.partitions} partition{'s' if failure.partitions > 1 else ''}"
        message = f"{effect.format(number)}: {message}"
        place += f", first partition {failure.first_partition}"
    first_step = cause.removesuffix(", and start again") or "remove the cause"
    return Problem(ErrorCode(failure.code), message, place, f"{first_step}; then {remedy}")


def loads_left_waiting(
    needs: Mapping[str, Collection[str]], only: Sequence[str], complete: Collection[str]
) -> list[Problem]:
    """Find loads of a restricted run that need others.

    Args:
        needs: For each load the loads that must be complete before it.
        only: The loads that the run is restricted to.
        complete: The loads that are complete.

    Returns:
        One problem for each load that wasn't started (USER-003).
    """
    waiting = {
        name: sorted(_all_needed(needs, name).difference(complete, only))
        for name in only
        if name not in complete
    }
    return [
        Problem(
            ErrorCode.USER_003,
            f"the load wasn't started, because it needs {', '.join(missing)}",
            f"table {name}",
            f"run these as well: {' '.join(f'--table {other}' for other in [*missing, name])}",
        )
        for name, missing in waiting.items()
        if missing
    ]


def _all_needed(needs: Mapping[str, Collection[str]], name: str) -> set[str]:
    """The loads that a load needs, and those that these need."""
    needed: set[str] = set()
    more = {name}
    while more:
        more = {other for one in more for other in needs[one]} - needed
        needed |= more
    return needed - {name}
