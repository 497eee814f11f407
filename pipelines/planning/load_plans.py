"""The plans of loads: how each is divided, read from its source and stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg import sql

from pipelines.connections.database_errors import translate_errors
from pipelines.connections.patient_connections import retrying_of
from pipelines.databases.open_databases import Databases
from pipelines.databases.sequences import advance_sequences
from pipelines.ledger.load_rows import NewLoad
from pipelines.ledger.target_growth import target_growth
from pipelines.planning.load_definition import definition
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.policies import KeyGenerator
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.slices import PartitionBounds
from transforms.postgres.retries import run_with_retries
from transforms.postgres.snapshot import SnapshotGone
from transforms.references.generated_keys import own_sequence_name


def refuse_repeated_source_keys(databases: Databases, programs: Mapping[str, LoadProgram]) -> None:
    """Refuse loads with a ``source_key`` that isn't unique although children rely on it.

    A key that is made for a row is looked up by the row's source key, so that must be
    unique and without NULLs. The source is asked, unless its catalogue says so.

    Args:
        databases: The open databases.
        programs: The loads, compiled.

    Raises:
        TransfuseError: DATA-004 for each such load.
    """
    problems = []
    for name, program in programs.items():
        load = databases.specification.tables[name]
        if not program.with_keys or not program.source_key:
            continue
        repeated = databases.sources[program.source].repeated_source_keys(program)
        if repeated:
            problems.append(
                load.problem(
                    f"{repeated} source keys are NULL or stand for several rows, and keys that are"
                    " made here are found again by them",
                    "source_key",
                    code=ErrorCode.DATA_004,
                    remedy="name columns that identify a row",
                )
            )
    if problems:
        raise TransfuseError(problems)


@dataclass(frozen=True)
class LoadPlan:
    """The partitions of a load, and the state of the source in which they were counted."""

    partitions: Sequence[Partition]
    state: Sequence[Mapping[str, Any]]


Plans = Mapping[str, "LoadPlan | Problem"]
"""The plans of loads by name, or why a load can't be planned."""


def read_plan(
    databases: Databases, program: LoadProgram, bounds: PartitionBounds
) -> LoadPlan | Problem:
    """Divide the rows of a load under the source's snapshot.

    Only the source is asked, as often as ``limits.retry`` says.

    Args:
        databases: The open sources.
        program: The load.
        bounds: How large a partition may be.

    Returns:
        The plan, or the problem of a source that can't compute the load's rows.

    Raises:
        TransfuseError: Exit status 2, if the load can't be divided within the bounds; exit status 3
            (``SnapshotGone``), if the source is lost.
    """
    source = databases.sources[program.source]
    where = f"table {program.name}, in the source"

    def divide() -> LoadPlan:
        partitions = source.partitions(program, bounds)
        return LoadPlan(partitions, source.state(program, partitions))

    try:
        with translate_errors(where):
            return run_with_retries(retrying_of(databases.specification), divide, where)
    except TransfuseError as error:
        if isinstance(error, SnapshotGone) or error.status is not ExitStatus.INCOMPLETE:
            raise
        return error.problems[0]


@contextmanager
def read_plans_meanwhile(
    databases: Databases,
    programs: Mapping[str, LoadProgram],
    bounds: PartitionBounds,
    replanned: Sequence[str] = (),
) -> Iterator[Future[dict[str, LoadPlan | Problem]]]:
    """Read the plans of loads that aren't planned yet while the body runs.

    Counting a table keeps the server busy, importing Beam this process: together they take
    no longer than one of them.

    Args:
        databases: The open databases. The body leaves the sources alone; if it raises an
            exception, their statements are cancelled.
        programs: The loads, compiled.
        bounds: How large a partition may be.
        replanned: Loads that are to be planned again.

    Yields:
        The plans by load, once they are read.
    """
    planned = databases.ledger.loads.read_planned().difference(replanned)
    unplanned = [program for name, program in programs.items() if name not in planned]
    with ThreadPoolExecutor(1, "plans") as pool:
        plans = pool.submit(
            lambda: {p.name: read_plan(databases, p, bounds) for p in unplanned},
        )
        try:
            yield plans
        except BaseException:
            for source in databases.sources.values():
                source.cancel()
            raise


def plan_loads(
    databases: Databases,
    programs: Mapping[str, LoadProgram],
    bounds: PartitionBounds,
    plans: Plans,
) -> dict[str, Problem]:
    """Store the plans of the loads that have none yet: counts, partitions, sequences.

    The plan of each load is one transaction.

    Args:
        databases: The open databases.
        programs: The loads, compiled.
        bounds: How large a partition may be.
        plans: Those that were read already, under the same snapshots.

    Returns:
        The problems of loads that can't be planned, by name.
    """
    planned = databases.ledger.loads.read_planned()
    problems = {}
    for name, level in databases.levels.items():
        if name not in programs:
            continue
        where = f"table {name}, in the target"
        with translate_errors(where):
            # In each run: the application may have taken numbers meanwhile.
            _ensure_sequence(databases, programs[name])
        if name not in planned:
            plan = plans.get(name) or read_plan(databases, programs[name], bounds)
            if isinstance(plan, Problem):
                problems[name] = plan
                continue
            store = partial(_store_plan, databases, programs[name], level, plan)
            with translate_errors(where):
                run_with_retries(retrying_of(databases.specification), store, where)
    return problems


def _store_plan(databases: Databases, program: LoadProgram, level: int, plan: LoadPlan) -> None:
    row = databases.target.execute(
        sql.SQL("SELECT count(*) FROM {}").format(program.table.sql)
    ).fetchone()
    assert row is not None
    table = str(program.table)
    # A load that is planned again may have rows of this job there already.
    own = target_growth(databases.ledger, [table])[table]
    load = NewLoad(
        name=program.name,
        level=level,
        target_table=table,
        definition=definition(databases.specification, program),
        source_rows=sum(int(relation["rows"]) for relation in plan.state),
        source_state=plan.state,
        rows_before=row[0] - own,
        is_compared=not program.compares_rows,
    )
    databases.ledger.loads.store_plan(load, plan.partitions)


def _ensure_sequence(databases: Databases, program: LoadProgram) -> None:
    """Make the sequence of a generated key begin after the existing keys."""
    key, target = program.generated, databases.target
    if key is None or key.kind is not KeyGenerator.SEQUENCE:
        return
    if key.sequence is not None:
        advance_sequences(target, [key.sequence])
        return
    own = databases.ledger.session.table(own_sequence_name(program.table, key))
    existing = target.execute("SELECT to_regclass(%s)", [own.as_string()]).fetchone()
    if existing is not None and existing[0] is not None:
        # Asked for first, because IF NOT EXISTS needs the right to create one nevertheless.
        return
    row = target.execute(
        sql.SQL("SELECT coalesce(max({}), 0)::int8 + 1 FROM {}").format(
            sql.Identifier(key.name), program.table.sql
        )
    ).fetchone()
    assert row is not None
    target.execute(
        sql.SQL("CREATE SEQUENCE IF NOT EXISTS {} START {}").format(
            own, sql.Literal(max(1, int(row[0])))
        )
    )
