"""The end of a run of ``migrate``: reads the ledger, writes the job's state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pipelines.connections.patient_connections import connect_patiently
from pipelines.databases.function_sequences import advance_written_sequences
from pipelines.databases.open_databases import Databases
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.error_files import write_error_files
from pipelines.ledger.failures import read_failures
from pipelines.ledger.index_store import left_unbuilt
from pipelines.ledger.job import forget_left_maps, stored_job_if_readable
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_row import StoredJob
from pipelines.ledger.run_summary import read_summary
from pipelines.maps.run_contexts import complete_loads
from pipelines.run.balance import check_balance
from pipelines.run.outcome_decision import EndFacts, decide_outcome
from schemas.errors import ErrorCode, ExitStatus, Problem
from schemas.specification.earlier_digests import is_digest_of
from schemas.specification.root import Specification
from schemas.summary import Summary
from transforms.ledger.error_budgets import BrokenBudget
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.run_context import RunContext


@dataclass(frozen=True)
class RunOutcome:
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


def complete_already(specification: Specification, only: Collection[str] = ()) -> RunOutcome | None:
    """The outcome where nothing is left to do: the loads are complete, of this very specification.

    No source is asked, since it may have been switched off by then.

    Args:
        specification: That of the job.
        only: The loads that are asked for; none means all.
    """
    with connect_patiently(specification, specification.target.url) as target:
        ensure_current_version(target, specification)
        stored = stored_job_if_readable(target, specification)
        if stored is None or not is_digest_of(specification, stored.digest):
            return None
        if not complete_loads(target, specification) >= set(only or specification.tables):
            return None
        if stored.state != "complete" and not (only and _is_at_rest(target, specification, stored)):
            return None
        # Of a replay, which leaves the job as complete as it was.
        forget_left_maps(target, specification)
        unwritten = write_error_files(target, specification)
        status = ExitStatus.INCOMPLETE if unwritten else ExitStatus.COMPLETE
        return RunOutcome(
            read_summary(target, specification), status, tuple(unwritten), already=True
        )


def _is_at_rest(
    target: psycopg.Connection[Any], specification: Specification, stored: StoredJob
) -> bool:
    """Whether the last run came to its end, and has left nothing to be built."""
    return stored.state in ("incomplete", "stopped") and not left_unbuilt(target, specification)


def conclude_run(
    databases: Databases,
    context: RunContext,
    run_problems: Sequence[Problem] = (),
    seconds: float = 0.0,
    already: bool = False,
    only: Collection[str] = (),
) -> RunOutcome:
    """Reads how a run ended, writes the error files and the job's state, and gives the outcome.

    Args:
        databases: The connections of the run.
        context: The run.
        run_problems: Problems that the run met.
        seconds: How long it took.
        already: Whether there was nothing to do.
        only: The loads that the run was restricted to: others don't decide about its status, but
            about the job's state.

    Returns:
        The outcome, with the summary as the ledger has it afterwards.
    """
    specification, target = databases.specification, databases.target
    facts = _read_facts(databases, context, run_problems, already, only)
    decision = decide_outcome(facts)
    if not already:
        JobLedger(target, specification).job.close_run(decision.state, seconds)
    summary = read_summary(target, specification)
    return RunOutcome(summary, decision.status, decision.problems, already)


def _read_facts(
    databases: Databases,
    context: RunContext,
    run_problems: Sequence[Problem],
    already: bool,
    only: Collection[str],
) -> EndFacts:
    """Reads the facts at the end of a run, after advancing sequences; writes the error files."""
    specification, target = databases.specification, databases.target
    complete = is_complete(target, specification)
    unfinished = not complete_loads(target, specification) >= set(only or specification.tables)
    failures = read_failures(target, specification)
    budgets = WorkerLedger(target, context).budgets
    broken = [
        _budget_problem(budget) for budget in budgets.find_broken(list(only or context.programs))
    ]
    request = JobLedger(target, specification).job.read_wanted() if unfinished else "run"
    # Once a job is complete its tables live on; only the run that completes it counts them.
    completes = complete and not already
    if completes:
        advance_written_sequences(target, context.programs.values())
    balance = check_balance(target, specification, context, completes)
    return EndFacts(
        is_complete=complete,
        is_unfinished=unfinished,
        request=request,
        run_problems=tuple(run_problems),
        failures=failures,
        broken_budgets=tuple(broken),
        unbalanced=tuple(balance.problems),
        foreign_writes=tuple(balance.foreign),
        unwritten_files=tuple(write_error_files(target, specification)),
    )


def _budget_problem(budget: BrokenBudget) -> Problem:
    return Problem(
        ErrorCode.DATA_005,
        f"the error budget is broken: {budget.rejected} of {budget.candidates} rows rejected"
        + (f" with {budget.code.value}" if budget.code else ""),
        f"table {budget.load}",
        "look at 'rejects list'; fix the source or raise errors.budget, and start again",
    )
