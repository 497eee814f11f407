"""The plans of loads: how each is divided, read from its source and stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from pipelines.connections.database_errors import translate_errors
from pipelines.connections.patient_connections import retrying_of
from pipelines.databases.open_databases import Databases
from pipelines.databases.sequences import advance_sequences
from pipelines.ledger.job import control_table, stored_job
from pipelines.ledger.target_growth import target_growth
from pipelines.planning.load_definition import definition
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.policies import KeyGenerator
from schemas.specification.root import Specification
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.slices import PartitionBounds
from transforms.postgres.retries import retried
from transforms.postgres.snapshot import SnapshotGone
from transforms.references.generated_keys import own_sequence_name


def refuse_repeated_source_keys(databases: Databases, programs: Mapping[str, LoadProgram]) -> None:
    """Raises TransfuseError (DATA-004) where a ``source_key`` that children rely on repeats.

    A key that is made for a row is found again by the row's source key, so that must be
    unique and without NULLs. Asked of the source, unless it says so itself.
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
    """What the source says of a load: its partitions, and the state that they were counted in."""

    partitions: Sequence[Partition]
    state: Sequence[Mapping[str, Any]]


Plans = Mapping[str, "LoadPlan | Problem"]
"""The plans of loads by name, or why a load can't be planned."""


def read_plan(
    databases: Databases, program: LoadProgram, bounds: PartitionBounds
) -> LoadPlan | Problem:
    """Divides the load's rows under the source's snapshot; asks the source alone.

    Tried again as ``limits.retry`` says.

    Args:
        databases: the open sources.
        program: the load.
        bounds: how large a partition may be.

    Returns:
        The plan, or the problem of a source that can't compute the load's rows.

    Raises:
        TransfuseError: where the load can't be divided within the bounds (exit status 2), and
            SnapshotGone where the source is lost (exit status 3).
    """
    source = databases.sources[program.source]
    where = f"table {program.name}, in the source"

    def divide() -> LoadPlan:
        partitions = source.partitions(program, bounds)
        return LoadPlan(partitions, source.state(program, partitions))

    try:
        with translate_errors(where):
            return retried(retrying_of(databases.specification), divide, where)
    except TransfuseError as error:
        if isinstance(error, SnapshotGone) or error.status is not ExitStatus.INCOMPLETE:
            raise
        return error.problems[0]


@contextmanager
def plans_meanwhile(
    databases: Databases,
    programs: Mapping[str, LoadProgram],
    bounds: PartitionBounds,
    anew: Sequence[str] = (),
) -> Iterator[Future[dict[str, LoadPlan | Problem]]]:
    """The plans of loads, by name, that are read while the body runs.

    Those of the loads that aren't planned yet, or are to be planned ``anew``.
    Counting a table keeps the server busy, importing Beam this process: together they take
    no longer than one of them. The body leaves the sources alone; where it raises, they are
    told to stop.
    """
    known = planned_loads(databases.target, databases.specification).difference(anew)
    unplanned = [program for name, program in programs.items() if name not in known]
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


def planned_loads(target: psycopg.Connection[Any], specification: Specification) -> frozenset[str]:
    """The loads whose plans are stored."""
    if stored_job(target, specification) is None:
        return frozenset()
    rows = target.execute(
        sql.SQL("SELECT load FROM {} WHERE job_id = %s").format(
            control_table(specification, "migration_loads")
        ),
        [specification.job],
    ).fetchall()
    return frozenset(name for (name,) in rows)


def plan_loads(
    databases: Databases,
    programs: Mapping[str, LoadProgram],
    bounds: PartitionBounds,
    plans: Plans,
) -> dict[str, Problem]:
    """Stores the plans of the loads that have none yet: counts, partitions, sequences.

    ``plans`` are those that were read already, under the same snapshots. All of it is one
    transaction for each load. Gives the problems of loads that can't be planned, by name.
    """
    known = planned_loads(databases.target, databases.specification)
    problems = {}
    for name, level in databases.levels.items():
        if name not in programs:
            continue
        with translate_errors(f"table {name}, in the target"):
            # In each run: the application may have taken numbers meanwhile.
            _ensure_sequence(databases, programs[name])
        if name not in known:
            plan = plans.get(name) or read_plan(databases, programs[name], bounds)
            if isinstance(plan, Problem):
                problems[name] = plan
                continue
            where = f"table {name}, in the target"
            store = partial(_store_plan, databases, programs[name], level, plan)
            with translate_errors(where):
                retried(retrying_of(databases.specification), store, where)
    return problems


def _store_plan(databases: Databases, program: LoadProgram, level: int, plan: LoadPlan) -> None:
    specification, target = databases.specification, databases.target
    before = target.execute(sql.SQL("SELECT count(*) FROM {}").format(program.table.sql)).fetchone()
    assert before is not None
    table = str(program.table)
    # A plan that is made anew finds rows of this job there already.
    ours = target_growth(target, specification, [table])[table]
    with target.transaction():
        target.execute(
            sql.SQL(
                "INSERT INTO {} (job_id, load, level, target_table, definition, source_rows,"
                " source_state, target_rows_before, compared)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            ).format(control_table(specification, "migration_loads")),
            [
                specification.job,
                program.name,
                level,
                table,
                json.dumps(definition(specification, program)),
                sum(int(relation["rows"]) for relation in plan.state),
                Jsonb(plan.state),
                before[0] - ours,
                not program.compares_rows,
            ],
        )
        with target.cursor() as cursor:
            cursor.executemany(
                sql.SQL(
                    "INSERT INTO {} (job_id, load, partition_id, relation, predicate,"
                    " planned_rows) VALUES (%s, %s, %s, %s, %s, %s)"
                ).format(control_table(specification, "migration_partitions")),
                [
                    (specification.job, p.load, p.id, p.relation, p.predicate, p.rows)
                    for p in plan.partitions
                ],
            )


def _ensure_sequence(databases: Databases, program: LoadProgram) -> None:
    """Has the sequence of a generated key begin after the keys that are there."""
    key, target = program.generated, databases.target
    if key is None or key.kind is not KeyGenerator.SEQUENCE:
        return
    if key.sequence is not None:
        advance_sequences(target, [key.sequence])
        return
    own = control_table(databases.specification, own_sequence_name(program.table, key))
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


def open_partitions(
    target: psycopg.Connection[Any], specification: Specification, done: bool = False
) -> list[Partition]:
    """The partitions of the job that aren't done, or with ``done`` all of them."""
    rows = target.execute(
        sql.SQL(
            "SELECT load, partition_id, predicate, planned_rows, relation FROM {}"
            " WHERE job_id = %s AND (%s OR state <> 'done') ORDER BY load, partition_id"
        ).format(control_table(specification, "migration_partitions")),
        [specification.job, done],
    ).fetchall()
    return [Partition(*row) for row in rows]
