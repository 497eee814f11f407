"""Concludes a run of ``migrate`` by its ledger, and writes the job's state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipelines.connections.patient_connections import connect_patiently
from pipelines.databases.function_sequences import advance_written_sequences
from pipelines.databases.open_databases import Databases
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.error_files import write_error_files
from pipelines.ledger.failures import read_failures
from pipelines.ledger.index_store import unbuilt_indexes
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_row import StoredJob
from pipelines.ledger.run_summary import read_summary
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
    """The end of a run of ``migrate``.

    Attributes:
        summary: The counts of the job.
        status: The exit status.
        problems: The problems that the run met.
        already: Whether there was nothing left to do.
        warnings: Findings about the servers that don't keep a run from starting.
        loss: Why rows are left that another snapshot of a source could give.
    """

    summary: Summary
    status: ExitStatus
    problems: tuple[Problem, ...] = ()
    already: bool = False
    warnings: tuple[Problem, ...] = ()
    loss: Problem | None = None


def is_complete(ledger: JobLedger, only: Collection[str] = ()) -> bool:
    """Whether loads of the job are complete; all of them if none is named."""
    return ledger.loads.read_complete() >= set(only or ledger.specification.tables)


def complete_already(specification: Specification, only: Collection[str] = ()) -> RunOutcome | None:
    """Look whether nothing is left to do: the loads are complete, with this very specification.

    No source is asked, since it may have been switched off by then.

    Args:
        specification: That of the job.
        only: The loads that are asked for; none means all.

    Returns:
        The outcome; None if something is left to do.
    """
    with connect_patiently(specification, specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        job = ledger.job.read_if_allowed()
        if job is None or not is_digest_of(specification, job.digest):
            return None
        if not is_complete(ledger, only):
            return None
        if job.state != "complete" and not (only and _is_at_rest(ledger, job)):
            return None
        # Of a replay, which leaves the job as complete as it was.
        ledger.maps.delete_left_over()
        unwritten = write_error_files(ledger)
        status = ExitStatus.INCOMPLETE if unwritten else ExitStatus.COMPLETE
        return RunOutcome(read_summary(ledger), status, tuple(unwritten), already=True)


def _is_at_rest(ledger: JobLedger, job: StoredJob) -> bool:
    """Whether the last run came to its end, and has left nothing to be built."""
    return job.state in ("incomplete", "stopped") and not unbuilt_indexes(ledger)


def conclude_run(
    databases: Databases,
    context: RunContext,
    run_problems: Sequence[Problem] = (),
    seconds: float = 0.0,
    already: bool = False,
    only: Collection[str] = (),
) -> RunOutcome:
    """Conclude a run: write the error files and the job's state.

    Args:
        databases: The connections of the run.
        context: The run.
        run_problems: Problems that the run met.
        seconds: How long it took.
        already: Whether there was nothing to do.
        only: The loads that the run was restricted to. Others don't affect its status, only the
            job's state.

    Returns:
        The outcome, with the summary as the ledger has it afterwards.
    """
    ledger = databases.ledger
    facts = _read_facts(databases, context, run_problems, already, only)
    decision = decide_outcome(facts)
    if not already:
        ledger.job.close_run(decision.state, seconds)
        ledger.runs.end(decision.state, int(decision.status), decision.problems)
    return RunOutcome(read_summary(ledger), decision.status, decision.problems, already)


def _read_facts(
    databases: Databases,
    context: RunContext,
    run_problems: Sequence[Problem],
    already: bool,
    only: Collection[str],
) -> EndFacts:
    """Read the facts at the end of a run, after advancing sequences; write the error files."""
    ledger = databases.ledger
    complete = is_complete(ledger)
    unfinished = not is_complete(ledger, only)
    failures = read_failures(ledger)
    budgets = WorkerLedger(databases.target, context).budgets
    broken = [
        _budget_problem(budget) for budget in budgets.find_broken(list(only or context.programs))
    ]
    request = ledger.job.read_wanted() if unfinished else "run"
    # Once a job is complete its tables live on; only the run that completes it counts them.
    completes = complete and not already
    if completes:
        advance_written_sequences(databases.target, context.programs.values())
    balance = check_balance(ledger, context, completes)
    return EndFacts(
        is_complete=complete,
        is_unfinished=unfinished,
        request=request,
        run_problems=tuple(run_problems),
        failures=failures,
        broken_budgets=tuple(broken),
        unbalanced=tuple(balance.problems),
        foreign_writes=tuple(balance.foreign),
        unwritten_files=tuple(write_error_files(ledger)),
    )


def _budget_problem(budget: BrokenBudget) -> Problem:
    return Problem(
        ErrorCode.DATA_005,
        f"the error budget is broken: {budget.rejected} of {budget.candidates} rows rejected"
        + (f" with {budget.code.value}" if budget.code else ""),
        f"table {budget.load}",
        "look at 'rejects list'; fix the source or raise errors.budget, and start again",
    )
