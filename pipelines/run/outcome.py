"""How a run of ``migrate`` ended, as the ledger says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pipelines.databases.connected import Connected, connect_patiently
from pipelines.databases.function_sequences import advance_written_sequences
from pipelines.ledger.error_files import write_error_files
from pipelines.ledger.failures import SILENT, read_failures
from pipelines.ledger.index_store import left_unbuilt
from pipelines.ledger.job import StoredJob, end_run, forget_left_maps, stored_job_if_readable
from pipelines.ledger.run_summary import read_summary
from pipelines.maps.run_contexts import complete_loads
from pipelines.run.balance import check_balance
from pipelines.watch.control import Wanted, wanted
from schemas.errors import ErrorCode, ExitStatus, Problem
from schemas.specification.root import Specification
from schemas.summary import State, Summary
from transforms.ledger.budgets import broken_budgets
from transforms.model.run_context import RunContext

_ASKED: dict[Wanted, State] = {"pause": "paused", "stop": "stopped"}
"""The state in which a job is left that was asked to pause or stop before it was complete."""


@dataclass(frozen=True)
class Outcome:
    """How a run of ``migrate`` ended; ``already`` where there was nothing left to do.

    ``warnings`` are what the servers were found to do that doesn't keep a run from starting.
    ``loss`` says why rows are left that another snapshot of a source could give.
    """

    summary: Summary
    status: ExitStatus
    problems: tuple[Problem, ...] = ()
    already: bool = False
    warnings: tuple[Problem, ...] = ()
    loss: Problem | None = None


def is_complete(target: psycopg.Connection[Any], specification: Specification) -> bool:
    return complete_loads(target, specification) >= set(specification.tables)


def complete_already(specification: Specification, only: Collection[str] = ()) -> Outcome | None:
    """The outcome where nothing is left to do: the loads are complete, of this very specification.

    No source is asked, since it may have been switched off by then.

    Args:
        specification: That of the job.
        only: The loads that are asked for; none means all.
    """
    with connect_patiently(specification, specification.target.url) as target:
        stored = stored_job_if_readable(target, specification)
        if stored is None or stored.digest != specification.digest:
            return None
        if not complete_loads(target, specification) >= set(only or specification.tables):
            return None
        if stored.state != "complete" and not (only and _is_at_rest(target, specification, stored)):
            return None
        # Of a replay, which leaves the job as complete as it was.
        forget_left_maps(target, specification)
        unwritten = write_error_files(target, specification)
        status = ExitStatus.INCOMPLETE if unwritten else ExitStatus.COMPLETE
        return Outcome(read_summary(target, specification), status, tuple(unwritten), already=True)


def _is_at_rest(
    target: psycopg.Connection[Any], specification: Specification, stored: StoredJob
) -> bool:
    """Whether the last run came to its end, and has left nothing to be built."""
    return stored.state in ("incomplete", "stopped") and not left_unbuilt(target, specification)


def judged(
    databases: Connected,
    context: RunContext,
    found: Sequence[Problem] = (),
    seconds: float = 0.0,
    already: bool = False,
    only: Collection[str] = (),
) -> Outcome:
    """Judges what the ledger says at the end of a run; the gravest finding gives the status.

    Args:
        databases: The connections of the run.
        context: What the run was.
        found: Problems that the run has met.
        seconds: How long it took.
        already: Whether there was nothing to do.
        only: The loads that the run was restricted to: others don't decide about its status, but
            about the job's state.
    """
    specification, target = databases.specification, databases.target
    complete = is_complete(target, specification)
    unfinished = not complete_loads(target, specification) >= set(only or specification.tables)
    problems: list[Problem] = []
    status = ExitStatus.COMPLETE
    failures = read_failures(target, specification)
    over = [
        Problem(
            ErrorCode.DATA_005,
            f"the error budget is broken: {b.rejected} of {b.candidates} rows rejected"
            + (f" with {b.code.value}" if b.code else ""),
            f"table {b.load}",
            "look at 'rejects list'; fix the source or raise errors.budget, and start again",
        )
        for b in broken_budgets(target, context, list(only or context.programs))
    ]
    asked = _ASKED.get(wanted(target, specification)) if unfinished else None
    if complete and not already:
        advance_written_sequences(target, context.programs.values())
    # Once a job is complete its tables live on; only the run that completes it counts them.
    balance = check_balance(target, specification, context, complete and not already)
    problems += balance.problems
    # As long as something is to be mended the job is not complete.
    complete = complete and not found
    # Left open: a job that doesn't add up is counted again at the next start, and not taken for
    # complete because somebody starts it twice.
    complete = complete and not problems
    if any(problem.code is ErrorCode.SYS_003 for problem in failures):
        status = ExitStatus.CRASH
    elif problems:
        status = ExitStatus.OUT_OF_BALANCE
    elif over or asked:
        status = ExitStatus.STOPPED
    elif unfinished or found:
        status = ExitStatus.INCOMPLETE
    unwritten = write_error_files(target, specification)
    if unwritten and status is ExitStatus.COMPLETE:
        status = ExitStatus.INCOMPLETE
    problems += [*found, *failures, *over, *unwritten, *balance.foreign]
    if unfinished and status is ExitStatus.INCOMPLETE and not problems:
        problems.append(SILENT)
    state: State = "complete" if complete else asked or "incomplete"
    if over:
        state = "stopped"
    if not already:
        end_run(target, specification, state, seconds)
    return Outcome(read_summary(target, specification), status, tuple(problems), already)
