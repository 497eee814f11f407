"""``rejects replay``: judges rejected rows again, and writes those that pass."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.connections.blocking import log_blockers
from pipelines.databases.function_sequences import advance_written_sequences
from pipelines.databases.open_databases import Databases
from pipelines.ledger.audit_rows import describe_filter
from pipelines.ledger.control_schema import create_control_tables
from pipelines.ledger.error_files import write_error_files
from pipelines.ledger.failures import SILENT, read_failures, read_replay_failures
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_row import StoredJob
from pipelines.ledger.replay_rows import RejectedPartition
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.ledger.run_rows import RunRequestRecord
from pipelines.ledger.run_summary import read_summary
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.maps.decided_maps import read_decided_maps
from pipelines.maps.run_contexts import most_workers, run_context, workers_asked, workers_of
from pipelines.notify.notifier import Notifier
from pipelines.notify.run_notices import notice_of_end, notice_of_start, notify_of_failure
from pipelines.planning.carried_loads import refuse_carried_loads
from pipelines.preflight.prepared_loads import prepare_loads
from pipelines.rejects.reject_filter import never_ran, refuse_no_match
from pipelines.rejects.rows_to_replay import levels_of, refuse_unfit
from pipelines.run.balance import check_balance
from pipelines.run.replay_outcome import Replayed, ReplayOutcome, results_by_load
from pipelines.run.run_record import open_run, record_request
from pipelines.watch.run_observer import RunObserver
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.mapping.map_store import maps_stored
from transforms.model.log_event import EventPlace, log_event
from transforms.model.rejected_rows import RejectedLevel
from transforms.model.run_context import RunContext
from transforms.postgres.connection_pool import close_at_end
from transforms.resources.memory_limits import refuse_too_little_memory

logger = logging.getLogger("transfuse.run")


def replay(
    specification: Specification,
    wanted: ViolationFilter | None = None,
    flags: Sequence[str] = (),
    observer: RunObserver | None = None,
) -> ReplayOutcome:
    """Judge rejected rows again, write those that pass, and print nothing.

    They are judged by the specification, the maps, the site's decisions and the source as they are
    now. Every row is whole: with all of its violations. References of a table to itself, and losers
    whose winner was replayed, are settled when the rows of a load are committed, as after a
    migration.

    Args:
        specification: The job's.
        wanted: The rows to replay (``filter_rejects``); None means all.
        flags: Flags for Beam.
        observer: Gets the reports of the replay while it goes on; None for none.

    Returns:
        The number of rows by load and result, and how the replay ended.

    Raises:
        TransfuseError: The replay couldn't be started: USER-003 if the job is running or hasn't
            run, or if rows can't be judged again; USER-001 if ``wanted`` matches nothing; the codes
            of the databases and of compiling.
    """
    observer = observer or RunObserver()
    with Notifier(specification) as notifier:
        with notify_of_failure(notifier, "replay"):
            outcome = _replay(specification, wanted or ViolationFilter(), flags, observer, notifier)
        state = "done" if outcome.status is ExitStatus.COMPLETE else "some rows are left"
        notifier.send(
            notice_of_end("replay", state, outcome.status, outcome.counts, outcome.problems)
        )
        return outcome


def _replay(
    specification: Specification,
    wanted: ViolationFilter,
    flags: Sequence[str],
    observer: RunObserver,
    notifier: Notifier,
) -> ReplayOutcome:
    begun = time.monotonic()
    record = record_request("rejects replay", specification, flags)
    with open_run(specification, record) as databases:
        job = _open_error_sink(databases)
        partitions = databases.ledger.replays.read_partitions(wanted)
        rows = _sum_by_load(partitions, "rows")
        nameless = _nameless(databases.ledger, _sum_by_load(partitions, "nameless"))
        if not rows and nameless:
            raise TransfuseError(nameless)
        cut_off = _read_cut_off(databases)
        if not rows and not cut_off:
            refuse_no_match(databases.ledger, wanted, rejected_only=True)
            return ReplayOutcome({}, {}, ExitStatus.COMPLETE)
        context, warnings = _compile(databases, job, list(rows), flags, observer)
        notifier.send(notice_of_start("replay", context.run))
        given_up: list[Problem] = []
        if cut_off:
            # Before rows are counted: what this changes isn't about the rows that are meant.
            levels = levels_of(databases, (), wanted, cut_off)
            context, given_up = _run(databases, context, levels, record)
            partitions = databases.ledger.replays.read_partitions(wanted)
            refuse_unfit(databases, context.programs, list(_sum_by_load(partitions, "rows")))
        context, tables, cut_short = _replay_rows(databases, context, partitions, wanted, record)
        outcome = _conclude(databases, context, tables, [*given_up, *cut_short], nameless, begun)
        return replace(outcome, warnings=warnings)


def _log_end(context: RunContext, outcome: ReplayOutcome, seconds: float) -> None:
    totals: dict[str, Any] = {**outcome.totals}
    log_event(
        logger,
        logging.INFO,
        f"replay ended: {outcome.counts}; exit status {int(outcome.status)}",
        EventPlace.of(context),
        status=int(outcome.status),
        seconds=round(seconds, 3),
        rows_per_second=round(totals["rows"] / max(seconds, 0.001)),
        **totals,
    )


def _open_error_sink(databases: Databases) -> StoredJob:
    """Brings the control tables of a job that has run up to date. Raises TransfuseError: USER-003
    where it hasn't run."""
    specification = databases.specification
    job = databases.ledger.job.read()
    if job is None:
        raise TransfuseError(never_ran(specification))
    # An earlier version may have made fewer of them.
    create_control_tables(specification)
    databases.ledger.maps.delete_left_over()
    databases.ledger.replays.analyze()
    return job


def _read_cut_off(databases: Databases) -> frozenset[str]:
    """The loads that an earlier replay was cut off before it had settled."""
    loads = databases.ledger.loads
    cut_off = loads.read_done() - loads.read_complete()
    return cut_off & databases.specification.tables.keys()


def _compile(
    databases: Databases,
    job: StoredJob,
    loads: Sequence[str],
    flags: Sequence[str],
    observer: RunObserver,
) -> tuple[RunContext, tuple[Problem, ...]]:
    """The context to replay rows of the loads with, and the warnings, which it reports."""
    refuse_too_little_memory(workers_asked(flags, databases.specification))
    prepared = prepare_loads(databases, job)
    observer.report_warnings(prepared.warnings)
    refuse_unfit(databases, prepared.programs, loads)
    refuse_carried_loads(databases.ledger, loads, "replay")
    maps = read_decided_maps(databases, prepared.programs)
    context = run_context(
        databases, prepared.programs, maps, prepared.lookups, job.runs, job.started_at
    )
    return context, prepared.warnings


def _replay_rows(
    databases: Databases,
    context: RunContext,
    partitions: Sequence[RejectedPartition],
    wanted: ViolationFilter,
    record: RunRequestRecord,
) -> tuple[RunContext, dict[str, Replayed], list[Problem]]:
    """Replays the rows of the partitions; gives the context that it ran with, what became of the
    rows by load, and why the engine didn't get through."""
    rows = _sum_by_load(partitions, "rows")
    before = read_summary(databases.ledger)
    since = databases.ledger.replays.read_clock()
    cut_short: list[Problem] = []
    if rows:
        with databases.ledger.replays.keep_index(sum(rows.values())):
            levels = levels_of(databases, partitions, wanted)
            asked = (sum(rows.values()), wanted)
            context, cut_short = _run(databases, context, levels, record, asked)
    databases.ledger.replays.analyze()
    left = databases.ledger.replays.count_unjudged(wanted, since)
    advance_written_sequences(databases.target, context.programs.values())
    tables = results_by_load(rows, before, read_summary(databases.ledger), left)
    return context, tables, cut_short


def _conclude(
    databases: Databases,
    context: RunContext,
    tables: Mapping[str, Replayed],
    given_up: Sequence[Problem],
    nameless: Sequence[Problem],
    begun: float,
) -> ReplayOutcome:
    """Judge and log what the ledger says at the end of a replay; the gravest finding gives the
    status."""
    unbalanced = check_balance(databases.ledger, context, complete=False).problems
    failures = [*read_failures(databases.ledger), *read_replay_failures(databases.ledger)]
    unwritten = write_error_files(databases.ledger)
    left = any(result.left for result in tables.values())
    silent = [SILENT] if left and not given_up and not failures else []
    problems = [*given_up, *unbalanced, *failures, *silent, *nameless, *unwritten]
    status = ExitStatus.INCOMPLETE if problems else ExitStatus.COMPLETE
    if any(problem.code is ErrorCode.SYS_003 for problem in failures):
        status = ExitStatus.CRASH
    elif unbalanced:
        status = ExitStatus.OUT_OF_BALANCE
    state = "incomplete" if status else "complete"
    databases.ledger.runs.end(state, int(status), problems)
    freed = databases.ledger.replays.count_freed()
    outcome = ReplayOutcome(tables, freed, status, tuple(problems))
    _log_end(context, outcome, time.monotonic() - begun)
    return outcome


def _run(
    databases: Databases,
    context: RunContext,
    levels: Sequence[RejectedLevel],
    record: RunRequestRecord,
    asked: tuple[int, ViolationFilter] | None = None,
) -> tuple[RunContext, list[Problem]]:
    """Judges and commits the rows of the levels, and settles their loads; gives the context that
    it ran with, and what the engine didn't get to its end. ``asked`` is the number of rows that a
    person means, and how they are named."""
    # Here and not above, because importing Beam takes a second.
    from pipelines.engines.engine import engine_for
    from pipelines.engines.runner import pipeline_of, without_idle_workers
    from pipelines.run.graph import build_replay, run_levels

    specification = databases.specification
    most = most_workers(specification)
    pipeline, in_process = pipeline_of(record.flags, workers_of(specification), most)
    if in_process:
        without_idle_workers(pipeline, record.flags, max(len(level.rows) for level in levels))
    loads = {load for level in levels for load in level.loads}
    with engine_for(pipeline, record.flags, specification, most):
        with databases.target.transaction():
            run = databases.ledger.replays.begin(loads, specification.tables)
            databases.ledger.runs.begin(run, record)
            if asked is not None:
                count, wanted = asked
                details = describe_filter(wanted)
                databases.ledger.audit.record("replay", rows=count, details=details)
        context = replace(context, run=run, verb="replay", in_process=in_process)
        with (
            maps_stored(databases.target, context),
            log_blockers(context.target, context.session_name),
            close_at_end(),
        ):
            problems = run_levels(
                pipeline, levels, lambda some, part: build_replay(some, context, part)
            )
    return context, problems


def _sum_by_load(found: Sequence[RejectedPartition], name: str) -> dict[str, int]:
    """The sums of ``rows`` or ``nameless`` by load, without zeros."""
    counts: Counter[str] = Counter()
    for one in found:
        counts[one.load] += getattr(one, name)
    return {load: count for load, count in counts.items() if count}


def _nameless(ledger: JobLedger, counts: Mapping[str, int]) -> list[Problem]:
    """What to say of rows without a source key, by load."""
    return [
        Problem(
            ErrorCode.USER_003,
            f"{count} rejected rows have no source key, and can't be found again",
            f"table {load}",
            "discard them, or give the load a 'source_key' without NULLs, and remove what is"
            f" written and start over: {command_to_reset(ledger, [load])}",
        )
        for load, count in sorted(counts.items())
    ]
