"""``rejects replay``: rejected rows are judged anew, and those that pass are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.balance import imbalances
from pipelines.connected import Connected, compile_programs, connected
from pipelines.console import print_json, print_problems, stderr, stdout, table_of
from pipelines.context import (
    complete_loads,
    most_workers,
    run_context,
    with_site_decisions,
    workers_of,
)
from pipelines.error_files import write_error_files
from pipelines.gem_maps import gem_uses
from pipelines.job import job_lock, stored_job
from pipelines.load_plans import advance_identities
from pipelines.lookup_tables import read_lookups
from pipelines.reject_filter import Filter
from pipelines.rejected_rows import (
    Row,
    freed_rows,
    left_rows,
    levels_of,
    refuse_unfit,
    rejected_rows,
)
from pipelines.summary import read_summary
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.root import Specification
from schemas.summary import Summary
from transforms.connection_pool import closed_at_the_end
from transforms.lookup_store import lookups_stored
from transforms.mapping.program import LoadProgram
from transforms.run_context import RunContext


@dataclass(frozen=True)
class Replayed:
    """What became of the rejected rows of a load that were meant.

    ``rows`` = ``accepted`` + ``skipped`` + ``rejected`` + ``left``; of these ``left`` couldn't be
    read or committed, and are as they were.
    """

    rows: int
    accepted: int
    skipped: int
    rejected: int
    left: int


@dataclass(frozen=True)
class ReplayOutcome:
    """What became of the rows by load. ``freed`` are rejected rows, by load, that follow from
    others which aren't rejected any more: what to replay next."""

    tables: Mapping[str, Replayed]
    freed: Mapping[str, int]
    status: ExitStatus
    problems: tuple[Problem, ...] = ()


def show_replay(
    specification: Specification,
    path: Path,
    wanted: Filter,
    flags: Sequence[str],
    as_json: bool,
) -> ExitStatus:
    """Replays and prints what became of the rows. Raises TransfuseError as ``replay`` does."""
    outcome = replay(specification, path, wanted, flags)
    if as_json:
        tables = {name: asdict(told) for name, told in outcome.tables.items()}
        print_json({"job": specification.job, "tables": tables, "freed": dict(outcome.freed)})
    else:
        _print(specification, outcome)
    print_problems(outcome.problems)
    return outcome.status


def replay(
    specification: Specification, path: Path, wanted: Filter, flags: Sequence[str] = ()
) -> ReplayOutcome:
    """Judges the rejected rows that ``wanted`` lets through, as the specification, the maps, the
    site's decisions and the source are now. Every row is whole: with all of its violations.

    ``flags`` go to Beam. Raises TransfuseError where nothing could be started: USER-003 where the
    job is running or hasn't run, else as ``connected``, ``compile_programs`` and
    ``refuse_unfit`` do.
    """
    with (
        connected(specification, path.parent) as databases,
        job_lock(databases.target, specification),
    ):
        target = databases.target
        known = stored_job(target, specification)
        if known is None:
            told = f"the job '{specification.job}' has not run yet"
            raise TransfuseError(Problem(ErrorCode.USER_003, told, "", "'migrate' it first"))
        rows = rejected_rows(target, specification, wanted)
        if not rows:
            return ReplayOutcome({}, {}, ExitStatus.COMPLETE)
        lookups = read_lookups(databases)
        compiled = compile_programs(databases, known.started_at, lookups)
        refuse_unfit(databases, compiled, rows)
        complete = complete_loads(target, specification)
        programs = {name: p.checked_at_once(complete) for name, p in compiled.items()}
        maps = with_site_decisions(databases, gem_uses(databases, programs))
        context = run_context(databases, programs, maps, lookups.tables, known.runs)
        before = read_summary(target, specification)
        row = target.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        since = row[0]
        context = _replay_all(databases, context, compiled, rows, flags)
        left = left_rows(target, specification, wanted, since)
        after = read_summary(target, specification)
        advance_identities(context, target)
        problems = imbalances(target, specification, context, complete=False)
        problems += write_error_files(target, specification)
        status = ExitStatus.INCOMPLETE if left or problems else ExitStatus.COMPLETE
        if any(problem.code is ErrorCode.SYS_003 for problem in problems):
            status = ExitStatus.OUT_OF_BALANCE
        freed: dict[str, int] = {}
        for load, _, _ in freed_rows(target, specification, None):
            freed[load] = freed.get(load, 0) + 1
        tables = _told(rows, before, after, left)
        return ReplayOutcome(tables, freed, status, tuple(problems))


def _replay_all(
    databases: Connected,
    context: RunContext,
    compiled: Mapping[str, LoadProgram],
    rows: Sequence[Row],
    flags: Sequence[str],
) -> RunContext:
    """Judges the rows, and those whose parent of their own load has come in, as often as any has.

    Levels are ordered so that parents come first; only rows of one load don't know each other.
    """
    from dataclasses import replace

    # Here and not above, because importing Beam takes a second.
    from pipelines.graph import build_replay
    from pipelines.runner import pipeline_of, without_idle_workers

    specification, target = databases.specification, databases.target
    among = {
        load
        for load in {load for load, _, _ in rows}
        if any(f.reference is not None and f.reference.deferred for f in compiled[load].fields)
    }
    wanted = set(rows)
    while rows:
        pipeline, in_process = pipeline_of(
            flags, workers_of(specification), most_workers(specification)
        )
        # A context of its own for each round: steps remember what the target held.
        context = replace(context, in_process=in_process)
        levels = levels_of(databases, rows)
        if in_process:
            without_idle_workers(pipeline, flags, max(len(level.rows) for level in levels))
        with _reachable(databases, context), closed_at_the_end():
            build_replay(pipeline, context, levels)
            pipeline.run().wait_until_finish()
        rows = [
            row
            for row in (freed_rows(target, specification, sorted(among)) if among else [])
            if row in wanted
        ]
    return context


def _reachable(databases: Connected, context: RunContext) -> AbstractContextManager[None]:
    if context.in_process or not context.lookups:
        return nullcontext()
    return lookups_stored(databases.target, context)


def _told(
    rows: Sequence[Row], before: Summary, after: Summary, left: Mapping[str, int]
) -> dict[str, Replayed]:
    counts: dict[str, int] = {}
    for load, _, _ in rows:
        counts[load] = counts.get(load, 0) + 1
    told = {}
    for load, count in counts.items():
        accepted = after.tables[load].accepted - before.tables[load].accepted
        skipped = after.tables[load].skipped - before.tables[load].skipped
        remaining = left.get(load, 0)
        rejected = count - accepted - skipped - remaining
        told[load] = Replayed(count, accepted, skipped, rejected, remaining)
    return told


def _print(specification: Specification, outcome: ReplayOutcome) -> None:
    console = stdout()
    if not outcome.tables:
        console.print(f"{specification.job}: no open rejections are meant; nothing was changed.")
        return
    names = ("rows", "accepted", "skipped", "rejected", "left")
    rows = [
        (load, *(f"{getattr(told, name):,}" for name in names))
        for load, told in outcome.tables.items()
    ]
    console.print(table_of("Replayed", ("table",), names, rows))
    if outcome.freed:
        told = ", ".join(f"{count:,} of {load}" for load, count in outcome.freed.items())
        stderr().print(
            f"Rejected because of rows that are in the target now: {told}. Replay them with"
            " --code DATA-002.",
            markup=False,
        )
