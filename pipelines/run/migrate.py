"""``migrate``: plans, runs, reports; started again, it continues where the ledger says."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pipelines.databases.lost_sources import run_until_sources_last
from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.control_schema import create_control_tables, hold_current_job
from pipelines.ledger.earlier_runs import end_earlier_runs
from pipelines.ledger.failures import loads_left_waiting
from pipelines.ledger.index_store import drop_indexes, restore_indexes, unbuilt_indexes
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_row import StoredJob
from pipelines.ledger.run_summary import read_summary
from pipelines.maps.gem_maps import gem_uses
from pipelines.maps.run_contexts import (
    most_workers,
    partition_bounds,
    run_context,
    workers_asked,
    workers_of,
)
from pipelines.planning.carried_loads import check_carried_loads
from pipelines.planning.changed_specification import Changes, find_changes
from pipelines.planning.load_names import refuse_unknown_loads
from pipelines.planning.load_plans import plan_loads, read_plans_meanwhile
from pipelines.planning.source_state import find_changed_sources, report_as_change
from pipelines.preflight.prepared_loads import PreparedLoads, prepare_loads
from pipelines.run.open_levels import read_open_levels, width_of
from pipelines.run.outcome import RunOutcome, complete_already, conclude_run, is_complete
from pipelines.run.run_start import start_run
from pipelines.terminal.console import print_warnings, stderr
from pipelines.watch.control import wait_while_paused
from pipelines.watch.interruption import stop_on_signals
from pipelines.watch.progress import show_progress
from schemas.errors import ExitStatus, Problem
from schemas.specification.earlier_digests import is_digest_of
from schemas.specification.root import Specification
from schemas.specification.stored_text import text_without_passwords
from transforms.mapping.map_store import maps_stored
from transforms.model.run_context import GemUse, RunContext
from transforms.postgres.connection_pool import close_at_end
from transforms.postgres.connections import connect
from transforms.postgres.refused_logins import forget_refused_logins
from transforms.resources.memory_limits import refuse_too_little_memory
from transforms.resources.spill import drop_at_end
from transforms.steps.level import Level


@dataclass(frozen=True)
class _Request:
    """The arguments of ``migrate``."""

    specification: Specification
    flags: Sequence[str]
    only: Sequence[str]
    accept_changes: bool


@dataclass(frozen=True)
class _Engine:
    """A Beam pipeline that can run, and whether its steps run in this very process."""

    pipeline: Any
    in_process: bool


def migrate(
    specification: Specification,
    flags: Sequence[str] = (),
    only: Sequence[str] = (),
    accept_changes: bool = False,
) -> RunOutcome:
    """Runs the job of a specification as far as it gets.

    A job that is paused is waited for without a connection, and then continued like one that was
    killed.

    Args:
        specification: That of the job.
        flags: They go to Beam.
        only: The loads to which the run is restricted, and its outcome too; none means all.
        accept_changes: Whether to continue a job whose specification has changed, and to leave
            what is written as it is.

    Raises:
        TransfuseError: Where nothing could be started.
    """
    refuse_unknown_loads(specification, only)
    forget_refused_logins()

    request = _Request(specification, flags, only, accept_changes)

    def run() -> RunOutcome:
        return _run(request)

    outcome = run_until_sources_last(specification, run, lambda ended: ended.loss)
    while outcome.summary.state == "paused":
        stderr().print(f"The job '{specification.job}' is paused.", markup=False)
        try:
            goes_on = wait_while_paused(specification) == "run"
        except KeyboardInterrupt:
            goes_on = False
        if not goes_on:
            return _stopped_while_paused(specification, outcome)
        outcome = run_until_sources_last(specification, run, lambda ended: ended.loss)
    return outcome


def _stopped_while_paused(specification: Specification, outcome: RunOutcome) -> RunOutcome:
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ledger.job.close_run("stopped", 0.0)
        return replace(outcome, summary=read_summary(ledger))


def _run(request: _Request) -> RunOutcome:
    """Runs the job once: open, fence off earlier runs, compile, plan, begin, load, finish."""
    specification = request.specification
    text = text_without_passwords(specification.file.read_text(encoding="utf-8-sig"))
    # While the specification has a deferred problem, no job is complete.
    if not specification.deferred_problems:
        done = complete_already(specification, request.only)
        if done is not None:
            return done
    refuse_too_little_memory(workers_asked(request.flags, specification))
    with (
        open_databases(specification) as databases,
        hold_current_job(databases.ledger),
        ExitStack() as stack,
    ):
        job = _fence_off_earlier_runs(databases)
        with report_as_change(job is not None and is_digest_of(specification, job.digest)):
            prepared = prepare_loads(databases, job)
        print_warnings(prepared.warnings)
        changes = Changes()
        if job is not None:
            changes = find_changes(databases.ledger, prepared.programs, request.accept_changes)
            check_carried_loads(databases.ledger, prepared.programs)
        bounds = partition_bounds(specification)
        with read_plans_meanwhile(databases, prepared.programs, bounds, changes.replanned) as plans:
            engine = _start_engine(stack, request)
            maps = gem_uses(databases, prepared.programs)
        create_control_tables(specification)
        begun = time.monotonic()
        if job is not None and is_complete(databases.ledger):
            return _conclude_complete_job(databases, job, prepared, maps)
        context = start_run(databases, prepared, maps, changes, text)
        context = replace(context, in_process=engine.in_process)
        with _closed_on_failure(databases, begun):
            left_out = find_changed_sources(databases, prepared.programs)
            left_out |= plan_loads(databases, prepared.programs, bounds, plans.result())
            cut_off = _load(databases, context, engine, request, left_out)
            return _finish(
                databases, context, request.only, prepared.warnings, left_out, cut_off, begun
            )


def _fence_off_earlier_runs(databases: Databases) -> StoredJob | None:
    """Ends earlier runs of the job, before anything is decided by the ledger; gives the job."""
    job = databases.ledger.job.read_if_allowed()
    if job is not None:
        databases.ledger.maps.delete_left_over()
        end_earlier_runs(databases.ledger)
    return job


def _start_engine(stack: ExitStack, request: _Request) -> _Engine:
    """Starts the engine that the flags name; it stops when ``stack`` is closed."""
    # Here and not above, because importing Beam is what takes the time.
    from pipelines.engines.engine import engine_for
    from pipelines.engines.runner import pipeline_of

    specification = request.specification
    most = most_workers(specification)
    pipeline, in_process = pipeline_of(request.flags, workers_of(specification), most)
    stack.enter_context(engine_for(pipeline, request.flags, specification, most))
    return _Engine(pipeline, in_process)


def _conclude_complete_job(
    databases: Databases, job: StoredJob, prepared: PreparedLoads, maps: Mapping[str, GemUse]
) -> RunOutcome:
    """Concludes a job that a run which died after its last commit, or a budget, left open."""
    unbuilt = restore_indexes(databases.ledger)
    context = run_context(databases, prepared.programs, maps, prepared.lookups)
    already = job.state == "complete" and not unbuilt
    outcome = conclude_run(databases, context, unbuilt, already=already)
    return replace(outcome, warnings=prepared.warnings)


def _load(
    databases: Databases,
    context: RunContext,
    engine: _Engine,
    request: _Request,
    left_out: Collection[str],
) -> list[Problem]:
    """Runs all levels but the loads that are left out; gives why the engine didn't get through."""
    from pipelines.engines.runner import without_idle_workers

    drop_indexes(databases.ledger, context.programs)
    levels = read_open_levels(databases, request.only, left_out)
    if engine.in_process:
        width = max(map(width_of, levels), default=1)
        without_idle_workers(engine.pipeline, request.flags, width)
    return _run_levels(databases, context, engine.pipeline, levels)


def _finish(
    databases: Databases,
    context: RunContext,
    only: Sequence[str],
    warnings: tuple[Problem, ...],
    left_out: Mapping[str, Problem],
    cut_off: Sequence[Problem],
    begun: float,
) -> RunOutcome:
    """Restore the indexes, and conclude the run with all problems that it met."""
    specification = databases.specification
    unbuilt = restore_indexes(databases.ledger)
    complete = databases.ledger.loads.read_complete()
    waiting = loads_left_waiting(databases.needs, only, complete)
    unfinished = not complete >= set(only or specification.tables)
    if not unfinished:
        # An engine can fail after the last commit.
        cut_off = []
    losses = [source.loss() for source in databases.sources.values() if unfinished]
    lost = [problem for problem in losses if problem is not None]
    others = [problem for name, problem in left_out.items() if not only or name in only]
    problems = [*cut_off, *others, *waiting, *unbuilt, *lost]
    outcome = conclude_run(databases, context, problems, time.monotonic() - begun, only=only)
    may_go_on = lost and outcome.status is ExitStatus.INCOMPLETE
    return replace(
        outcome,
        warnings=(*warnings, *outcome.warnings),
        loss=lost[0] if may_go_on else None,
    )


def _run_levels(
    databases: Databases, context: RunContext, pipeline: Any, levels: Sequence[Level]
) -> list[Problem]:
    """Runs the levels; gives why the engine didn't get through."""
    from pipelines.run import graph

    specification = databases.specification
    with (
        maps_stored(databases.target, context),
        show_progress(specification, context.session_name),
        stop_on_signals(specification),
        close_at_end(),
        drop_at_end(),
    ):
        return graph.run_levels(
            pipeline,
            levels,
            lambda some, part: graph.build_graph(some, context, part),
            lambda: databases.ledger.job.read_wanted() == "run",
        )


@contextmanager
def _closed_on_failure(databases: Databases, begun: float) -> Iterator[None]:
    """Leaves a run that ends by an exception as incomplete, with its indexes.

    Where the server is gone too, the next run does it, and the exception is the one to tell.
    Who interrupts a run a second time doesn't want to wait for indexes either.
    """
    try:
        yield
    except KeyboardInterrupt:
        with suppress(psycopg.Error):
            databases.ledger.job.close_run("stopped", time.monotonic() - begun)
            for problem in unbuilt_indexes(databases.ledger):
                stderr().print(str(problem), markup=False)
        raise
    except BaseException:
        with suppress(psycopg.Error):
            restore_indexes(databases.ledger)
            databases.ledger.job.close_run("incomplete", time.monotonic() - begun)
        raise
