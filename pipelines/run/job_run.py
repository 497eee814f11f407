"""One run of a job: from opening the databases to the conclusion."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pipelines.databases.open_databases import Databases
from pipelines.ledger.control_schema import create_control_tables
from pipelines.ledger.earlier_runs import end_earlier_runs
from pipelines.ledger.failures import loads_left_waiting
from pipelines.ledger.halt_refusal import find_isolated
from pipelines.ledger.index_store import drop_indexes, restore_indexes, unbuilt_indexes
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_row import StoredJob
from pipelines.maps.gem_maps import gem_uses
from pipelines.maps.run_contexts import (
    most_workers,
    partition_bounds,
    run_context,
    workers_asked,
    workers_of,
)
from pipelines.monitor.run_monitor import monitor_run
from pipelines.notify.notifier import Notifier
from pipelines.notify.run_notices import notice_of_start
from pipelines.planning.carried_loads import check_carried_loads
from pipelines.planning.changed_specification import Changes, find_changes
from pipelines.planning.load_plans import plan_loads, read_plans_meanwhile
from pipelines.planning.source_state import find_changed_sources, report_as_change
from pipelines.preflight.prepared_loads import PreparedLoads, prepare_loads
from pipelines.run.open_levels import read_open_levels, width_of
from pipelines.run.outcome import RunOutcome, complete_already, conclude_run, is_complete
from pipelines.run.run_events import RunEvents, log_crash
from pipelines.run.run_record import open_run, record_request
from pipelines.run.run_start import start_run
from pipelines.watch.run_observer import RunObserver
from schemas.errors import ExitStatus, Problem
from schemas.specification.earlier_digests import is_digest_of
from schemas.specification.root import Specification
from transforms.mapping.map_store import maps_stored
from transforms.model.run_context import GemUse, RunContext
from transforms.postgres.connection_pool import close_at_end
from transforms.resources.memory_limits import refuse_too_little_memory
from transforms.resources.spill import drop_at_end
from transforms.steps.level import Level


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked for.

    Attributes:
        specification: The job's.
        flags: Flags for Beam.
        loads: The loads to which the run is restricted; none means all.
        accept_changes: Whether to continue with a changed specification.
        observer: Gets the reports of the run.
        notifier: Sends the notices of the run.
    """

    specification: Specification
    flags: Sequence[str]
    loads: Sequence[str]
    accept_changes: bool
    observer: RunObserver
    notifier: Notifier


@dataclass(frozen=True)
class _Engine:
    """A Beam pipeline that can run, and whether its steps run in this very process."""

    pipeline: Any
    in_process: bool


def run_once(request: RunRequest) -> RunOutcome:
    """Run a job once: open, fence off earlier runs, compile, plan, begin, load, finish.

    Args:
        request: What is asked for.

    Returns:
        The outcome, also of a job that is complete already.

    Raises:
        TransfuseError: The run couldn't be started.
        SnapshotGone: A source was lost before the run began.
    """
    specification = request.specification
    # While the specification has a deferred problem, no job is complete.
    if not specification.deferred_problems:
        done = complete_already(specification, request.loads)
        if done is not None:
            return done
    refuse_too_little_memory(workers_asked(request.flags, specification))
    record = record_request("migrate", specification, request.flags)
    with open_run(specification, record) as databases, ExitStack() as stack:
        job = _fence_off_earlier_runs(databases)
        with report_as_change(job is not None and is_digest_of(specification, job.digest)):
            prepared = prepare_loads(databases, job)
        request.observer.report_warnings(prepared.warnings)
        changes = _find_changes(databases, job, prepared, request)
        bounds = partition_bounds(specification)
        with read_plans_meanwhile(databases, prepared.programs, bounds, changes.replanned) as plans:
            engine = _start_engine(stack, request)
            maps = gem_uses(databases, prepared.programs)
        create_control_tables(specification)
        if job is not None and is_complete(databases.ledger):
            return _conclude_complete_job(databases, job, prepared, maps)
        begun = time.monotonic()
        context = start_run(databases, prepared, maps, changes, record, engine.in_process)
        request.notifier.send(notice_of_start("migrate", context.run))
        with _close_on_failure(databases.ledger, begun, request.observer), log_crash(context):
            left_out = find_changed_sources(databases, prepared.programs)
            left_out |= find_isolated(databases.ledger, databases.needs)
            left_out |= plan_loads(databases, prepared.programs, bounds, plans.result())
            events = RunEvents(databases.ledger, context, begun)
            cut_off = _load(databases, context, engine, request, left_out)
            ended = _finish(databases, context, request, prepared, left_out, cut_off, begun)
            return events.log_end(ended)


def _fence_off_earlier_runs(databases: Databases) -> StoredJob | None:
    """End earlier runs of the job before anything is decided by the ledger; the job."""
    job = databases.ledger.job.read_if_allowed()
    if job is not None:
        databases.ledger.maps.delete_left_over()
        end_earlier_runs(databases.ledger)
    return job


def _find_changes(
    databases: Databases, job: StoredJob | None, prepared: PreparedLoads, request: RunRequest
) -> Changes:
    """The changes since the previous run, if there was one, that the job can continue with."""
    if job is None:
        return Changes()
    changes = find_changes(databases.ledger, prepared.programs, request.accept_changes)
    check_carried_loads(databases.ledger, prepared.programs)
    return changes


def _start_engine(stack: ExitStack, request: RunRequest) -> _Engine:
    """Start the engine that the flags name; it stops when ``stack`` is closed."""
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
    """Conclude a job that a run left open by dying after its last commit, or by a budget."""
    unbuilt = restore_indexes(databases.ledger)
    context = run_context(databases, prepared.programs, maps, prepared.lookups)
    already = job.state == "complete" and not unbuilt
    outcome = conclude_run(databases, context, unbuilt, already=already)
    return replace(outcome, warnings=prepared.warnings)


def _load(
    databases: Databases,
    context: RunContext,
    engine: _Engine,
    request: RunRequest,
    left_out: Collection[str],
) -> list[Problem]:
    """Run all levels without the loads that are left out; why the engine didn't get through."""
    from pipelines.engines.runner import without_idle_workers

    drop_indexes(databases.ledger, context.programs)
    levels = read_open_levels(databases, request.loads, left_out)
    if engine.in_process:
        width = max(map(width_of, levels), default=1)
        without_idle_workers(engine.pipeline, request.flags, width)
    return _run_levels(databases, context, engine.pipeline, levels, request)


def _finish(
    databases: Databases,
    context: RunContext,
    request: RunRequest,
    prepared: PreparedLoads,
    left_out: Mapping[str, Problem],
    cut_off: Sequence[Problem],
    begun: float,
) -> RunOutcome:
    """Restore the indexes, and conclude the run with all problems that it met."""
    loads = request.loads
    left_out = {**left_out, **find_isolated(databases.ledger, databases.needs)}
    unbuilt = restore_indexes(databases.ledger)
    complete = databases.ledger.loads.read_complete()
    waiting = loads_left_waiting(databases.needs, loads, complete)
    unfinished = not complete >= set(loads or databases.specification.tables)
    if not unfinished:
        # An engine can fail after the last commit.
        cut_off = []
    losses = [source.loss() for source in databases.sources.values() if unfinished]
    lost = [problem for problem in losses if problem is not None]
    others = [problem for name, problem in left_out.items() if not loads or name in loads]
    problems = [*cut_off, *others, *waiting, *unbuilt, *lost]
    outcome = conclude_run(databases, context, problems, time.monotonic() - begun, only=loads)
    may_go_on = lost and outcome.status is ExitStatus.INCOMPLETE
    return replace(
        outcome,
        warnings=(*prepared.warnings, *outcome.warnings),
        loss=lost[0] if may_go_on else None,
    )


def _run_levels(
    databases: Databases,
    context: RunContext,
    pipeline: Any,
    levels: Sequence[Level],
    request: RunRequest,
) -> list[Problem]:
    """Run the levels; why the engine didn't get through."""
    from pipelines.run import graph

    with (
        maps_stored(databases.target, context),
        monitor_run(databases.specification, context, request.notifier),
        request.observer.attend(databases.specification, context.session_name),
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
def _close_on_failure(ledger: JobLedger, begun: float, observer: RunObserver) -> Iterator[None]:
    """Close a run that ends by an exception as incomplete, and build its indexes.

    If the server is gone too, the next run does so, and the exception is the one to report.
    Somebody who interrupts a run for the second time doesn't want to wait for indexes either.
    """
    try:
        yield
    except KeyboardInterrupt:
        with suppress(psycopg.Error):
            ledger.job.close_run("stopped", time.monotonic() - begun)
            observer.report_unbuilt(unbuilt_indexes(ledger))
        raise
    except BaseException:
        with suppress(psycopg.Error):
            restore_indexes(ledger)
            ledger.job.close_run("incomplete", time.monotonic() - begun)
        raise
