"""``migrate``: plans, runs, reports; started again, it continues where the ledger says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pipelines.databases.connected import (
    Connected,
    connected,
    level_of,
    needs_of,
)
from pipelines.databases.lost_sources import run_until_sources_last
from pipelines.ledger.earlier_runs import end_former_runs
from pipelines.ledger.failures import loads_left_waiting
from pipelines.ledger.index_store import drop_indexes, left_unbuilt, restore_indexes
from pipelines.ledger.job import (
    begin_run,
    control_table,
    create_control_tables,
    end_run,
    forget_left_maps,
    forget_plan,
    mark_referenced,
    stored_job_if_readable,
)
from pipelines.ledger.job_lock import job_lock
from pipelines.ledger.run_summary import read_summary
from pipelines.maps.changed_maps import decisions_of, refuse_other_maps
from pipelines.maps.contradicting_decisions import refuse_contradictions
from pipelines.maps.gem_maps import gem_uses
from pipelines.maps.lookup_tables import read_lookups
from pipelines.maps.run_contexts import (
    complete_loads,
    most_workers,
    partition_bounds,
    run_context,
    with_site_decisions,
    workers_asked,
    workers_of,
)
from pipelines.planning.changed_specification import Changes, find_changes, take_changes
from pipelines.planning.load_names import refuse_unknown_loads
from pipelines.planning.load_plans import (
    open_partitions,
    plan_loads,
    plans_meanwhile,
    refuse_repeated_source_keys,
)
from pipelines.planning.source_state import changed_loads, told_as_change
from pipelines.preflight import compile_and_check
from pipelines.run.outcome import Outcome, complete_already, conclude_run, is_complete
from pipelines.terminal.console import print_warnings, stderr
from pipelines.watch.control import wait_while_paused
from pipelines.watch.control import wanted as read_wish
from pipelines.watch.interruption import stopped_by_signals
from pipelines.watch.progress import shown_progress
from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ExitStatus, Problem
from schemas.specification.root import Specification
from schemas.specification.stored_text import text_without_passwords
from transforms.mapping.map_store import maps_stored
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.run_context import GemUse, RunContext
from transforms.postgres.connection_pool import closed_at_the_end
from transforms.postgres.connections import connect
from transforms.postgres.refused_logins import forget_refused_logins
from transforms.resources.memory_limits import refuse_too_little_memory
from transforms.resources.spill import dropped_at_the_end
from transforms.steps.level import Level


def migrate(
    specification: Specification,
    path: Path,
    flags: Sequence[str] = (),
    only: Sequence[str] = (),
    accept_changes: bool = False,
) -> Outcome:
    """Runs the job of a specification (read from ``path``) as far as it gets.

    A job that is paused is waited for without a connection, and then continued like one that was
    killed.

    Args:
        specification: That of the job.
        path: The file it was read from.
        flags: They go to Beam.
        only: The loads to which the run is restricted, and its outcome too; none means all.
        accept_changes: Whether to continue a job whose specification has changed, and to leave
            what is written as it is.

    Raises:
        TransfuseError: Where nothing could be started.
    """
    refuse_unknown_loads(specification, only)
    forget_refused_logins()

    def run() -> Outcome:
        return _run(specification, path, flags, only, accept_changes)

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


def _stopped_while_paused(specification: Specification, outcome: Outcome) -> Outcome:
    with connect(specification.target.url) as target:
        end_run(target, specification, "stopped", 0.0)
        return replace(outcome, summary=read_summary(target, specification))


def _run(
    specification: Specification,
    path: Path,
    flags: Sequence[str],
    only: Sequence[str],
    accept_changes: bool,
) -> Outcome:
    text = text_without_passwords(path.read_text(encoding="utf-8-sig"))
    # With a problem that is known, no job is complete.
    done = None if specification.deferred_problems else complete_already(specification, only)
    if done is not None:
        return done
    refuse_too_little_memory(workers_asked(flags, specification))
    with (
        connected(specification, path.parent) as databases,
        job_lock(databases.target, specification),
        ExitStack() as engine,
    ):
        known = stored_job_if_readable(databases.target, specification)
        if known is not None:
            forget_left_maps(databases.target, specification)
            # Before anything is judged by what the ledger says.
            end_former_runs(databases.target, specification)
        started_at = known.started_at if known else datetime.now(timezone.utc).isoformat()
        with told_as_change(known is not None and known.digest == specification.digest):
            lookups = read_lookups(databases)
            programs, findings = compile_and_check(databases, started_at, lookups)
        warnings = tuple(finding.problem for finding in findings)
        print_warnings(warnings)
        changes = Changes()
        if known is not None:
            changes = find_changes(databases.target, specification, programs, accept_changes)
        bounds = partition_bounds(specification)
        with plans_meanwhile(databases, programs, bounds, changes.planned_anew) as plans:
            # Here and not above, because importing Beam is what takes the time.
            from pipelines.engines.engine import engine_for
            from pipelines.engines.runner import pipeline_of, without_idle_workers

            most = most_workers(specification)
            pipeline, in_process = pipeline_of(flags, workers_of(specification), most)
            engine.enter_context(engine_for(pipeline, flags, specification, most))
            maps = gem_uses(databases, programs)
        create_control_tables(specification)
        begun = time.monotonic()
        if known is not None and is_complete(databases.target, specification):
            # A run that died after its last commit, or a budget, may have left it open.
            unbuilt = restore_indexes(databases.target, specification)
            context = run_context(databases, programs, maps, lookups.tables)
            already = known.state == "complete" and not unbuilt
            outcome = conclude_run(databases, context, unbuilt, already=already)
            return replace(outcome, warnings=warnings)
        context = _begun(databases, programs, maps, lookups.tables, changes, started_at, text)
        context = replace(context, in_process=in_process)
        with _closed_on_failure(databases, begun):
            left_out = changed_loads(databases, programs)
            left_out |= plan_loads(databases, programs, bounds, plans.result())
            drop_indexes(databases.target, specification, programs)
            levels = _levels(databases, only, set(left_out))
            if in_process:
                without_idle_workers(pipeline, flags, max(map(_width, levels), default=1))
            cut_off = _run_levels(databases, context, pipeline, levels)
            unbuilt = restore_indexes(databases.target, specification)
            complete = complete_loads(databases.target, specification)
            waiting = loads_left_waiting(needs_of(databases), only, complete)
            unfinished = not complete >= set(only or specification.tables)
            if not unfinished:
                # An engine can fail after the last commit.
                cut_off = []
            losses = [source.loss() for source in databases.sources.values() if unfinished]
            lost = [problem for problem in losses if problem is not None]
            others = [problem for name, problem in left_out.items() if not only or name in only]
            problems = [*cut_off, *others, *waiting, *unbuilt, *lost]
            outcome = conclude_run(
                databases, context, problems, time.monotonic() - begun, only=only
            )
            may_go_on = lost and outcome.status is ExitStatus.INCOMPLETE
            return replace(
                outcome,
                warnings=(*warnings, *outcome.warnings),
                loss=lost[0] if may_go_on else None,
            )


def _run_levels(
    databases: Connected, context: RunContext, pipeline: Any, levels: Sequence[Level]
) -> list[Problem]:
    """Runs the levels; gives why the engine didn't get through."""
    from pipelines.run import graph

    specification = databases.specification
    with (
        maps_stored(databases.target, context),
        shown_progress(specification, context.session_name),
        stopped_by_signals(specification),
        closed_at_the_end(),
        dropped_at_the_end(),
    ):
        return graph.run_levels(
            pipeline,
            levels,
            lambda some, part: graph.build_graph(some, context, part),
            lambda: read_wish(databases.target, specification) == "run",
        )


def _begun(
    databases: Connected,
    programs: Mapping[str, LoadProgram],
    maps: Mapping[str, GemUse],
    lookups: Mapping[str, LookupTable],
    changes: Changes,
    started_at: str,
    text: str,
) -> RunContext:
    """Begins another run of the job. Raises TransfuseError where keys or maps forbid it."""
    specification, target = databases.specification, databases.target
    refuse_repeated_source_keys(databases, programs)
    labels = {name: use.label for name, use in maps.items()}
    decided = with_site_decisions(target, specification, maps)
    refuse_contradictions(target, specification, decided)
    anew = refuse_other_maps(target, specification, programs, labels, decided)
    take_changes(target, specification, changes)
    for name in anew:
        forget_plan(target, specification, name)
    labels |= {name: table.label for name, table in lookups.items()}
    run = begin_run(target, specification, started_at, text, labels, decisions_of(decided))
    referenced = [name for name, program in programs.items() if program.referenced]
    mark_referenced(target, specification, referenced)
    return run_context(databases, programs, decided, lookups, run, started_at)


@contextmanager
def _closed_on_failure(databases: Connected, begun: float) -> Iterator[None]:
    """Leaves a run that ends by an exception as incomplete, with its indexes.

    Where the server is gone too, the next run does it, and the exception is the one to tell.
    Who interrupts a run a second time doesn't want to wait for indexes either.
    """
    specification, target = databases.specification, databases.target
    try:
        yield
    except KeyboardInterrupt:
        with suppress(psycopg.Error):
            end_run(target, specification, "stopped", time.monotonic() - begun)
            for problem in left_unbuilt(target, specification):
                stderr().print(str(problem), markup=False)
        raise
    except BaseException:
        with suppress(psycopg.Error):
            restore_indexes(target, specification)
            end_run(target, specification, "incomplete", time.monotonic() - begun)
        raise


def _levels(databases: Connected, only: Sequence[str], without: set[str]) -> list[Level]:
    """What is left to do, level by level; loads that are done have only to be settled."""
    specification, target = databases.specification, databases.target
    wanted = set(only or specification.tables) - without
    unfound = {
        name
        for (name,) in target.execute(
            sql.SQL("SELECT load FROM {} WHERE job_id = %s AND NOT compared").format(
                control_table(specification, "migration_loads")
            ),
            [specification.job],
        ).fetchall()
    }
    open_by_load = _by_load(open_partitions(target, specification))
    every_by_load = _by_load(open_partitions(target, specification, done=True))
    found: dict[int, list[str]] = {}
    for name, number in level_of(databases).items():
        if name in wanted:
            found.setdefault(number, []).append(name)
    return [
        Level(
            number,
            tuple(loads),
            tuple(p for name in loads for p in open_by_load.get(name, [])),
            tuple(p for name in loads if name in unfound for p in every_by_load.get(name, [])),
        )
        for number, loads in sorted(found.items())
    ]


def _width(level: Level) -> int:
    return max(len(level.partitions), len(level.compared), len(level.loads))


def _by_load(partitions: Sequence[Partition]) -> dict[str, list[Partition]]:
    found: dict[str, list[Partition]] = {}
    for partition in partitions:
        found.setdefault(partition.load, []).append(partition)
    return found
