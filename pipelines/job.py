"""A job in the control tables: made once, locked while it runs, planned, and continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy
from psycopg import sql
from psycopg.types.json import Jsonb

from pipelines.connected import Connected, level_of
from schemas.control_tables import control_metadata
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.generated_keys import own_sequence_name
from transforms.mapping.program import LoadProgram
from transforms.partition import Partition
from transforms.plan_partitions import PartitionBounds, plan_partitions
from transforms.run_context import RunContext


@dataclass(frozen=True)
class StoredJob:
    """A job's row: when it began (ISO 8601 with zone), and how often it has run."""

    started_at: str
    runs: int
    state: str


def control_table(specification: Specification, name: str) -> sql.Identifier:
    """A control table of a specification as it stands in SQL."""
    schema = specification.target.control_schema
    return sql.Identifier(name) if schema is None else sql.Identifier(schema, name)


def create_control_tables(specification: Specification) -> None:
    """Creates schema and control tables where they aren't there yet.

    Raises TransfuseError (USER-002) where the role may not.
    """
    schema = specification.target.control_schema

    def dial() -> psycopg.Connection[Any]:
        return psycopg.connect(specification.target.url)

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=dial, poolclass=sqlalchemy.pool.NullPool
    )
    try:
        with engine.begin() as connection:
            # Two first runs at once would create the same tables.
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(7274677573)"))
            if schema is not None and not sqlalchemy.inspect(connection).has_schema(schema):
                connection.execute(sqlalchemy.schema.CreateSchema(schema))
            control_metadata(schema).create_all(connection)
    except sqlalchemy.exc.DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        raise TransfuseError(
            Problem(
                ErrorCode.USER_002,
                f"the control tables can't be created (SQLSTATE {state})",
                f"schema {schema or 'of the connection'}",
                "grant CREATE to the role, or name another target.control_schema",
            )
        ) from None


@contextmanager
def job_lock(target: psycopg.Connection[Any], specification: Specification) -> Iterator[None]:
    """Holds the job for this process; the lock dies with its connection.

    Raises TransfuseError (USER-003) where another process holds it.
    """
    name = f"{specification.target.control_schema or ''}/{specification.job}"
    row = target.execute(
        "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"transfuse/{name}"]
    ).fetchone()
    if row is None or not row[0]:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"the job '{specification.job}' is running already",
                remedy="wait for it (see 'status'), or stop it first",
            )
        )
    try:
        yield
    finally:
        if not target.closed:
            target.execute(
                "SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [f"transfuse/{name}"]
            )


def stored_job(target: psycopg.Connection[Any], specification: Specification) -> StoredJob | None:
    """The job's row, None before its first run."""
    table = control_table(specification, "migration_jobs")
    row = target.execute("SELECT to_regclass(%s)", [table.as_string()]).fetchone()
    if row is None or row[0] is None:
        return None
    found = target.execute(
        sql.SQL("SELECT started_at, runs, state FROM {} WHERE job_id = %s").format(table),
        [specification.job],
    ).fetchone()
    if found is None:
        return None
    return StoredJob(found[0].isoformat(), found[1], found[2])


def begin_run(
    target: psycopg.Connection[Any],
    specification: Specification,
    started_at: str,
    text: str,
    maps: Mapping[str, str],
) -> int:
    """Writes or updates the job's row for another run, and gives the run's number.

    Failed partitions become planned ones again. ``text`` is the specification as written
    (variables are not filled in, so it holds no password), ``maps`` labels by name.
    """
    jobs = control_table(specification, "migration_jobs")
    with target.transaction():
        row = target.execute(
            sql.SQL(
                "INSERT INTO {} AS j (job_id, state, wanted, specification, specification_sha256,"
                " maps, started_at, runs) VALUES (%s, 'running', 'run', %s, %s, %s, %s, 1)"
                " ON CONFLICT (job_id) DO UPDATE SET state = 'running', wanted = 'run',"
                " specification = excluded.specification, maps = excluded.maps,"
                " specification_sha256 = excluded.specification_sha256, updated_at = now(),"
                " finished_at = NULL, runs = j.runs + 1 RETURNING runs"
            ).format(jobs),
            [
                specification.job,
                text,
                hashlib.sha256(text.encode()).hexdigest(),
                Jsonb(dict(maps)),
                datetime.fromisoformat(started_at),
            ],
        ).fetchone()
        target.execute(
            sql.SQL(
                "UPDATE {} SET state = 'planned' WHERE job_id = %s AND state = 'failed'"
            ).format(control_table(specification, "migration_partitions")),
            [specification.job],
        )
    assert row is not None
    return int(row[0])


def end_run(
    target: psycopg.Connection[Any], specification: Specification, state: str, seconds: float
) -> None:
    """Closes a run: the state it left the job in, and how long it took."""
    target.execute(
        sql.SQL(
            "UPDATE {} SET state = %s, seconds = seconds + %s, updated_at = now(),"
            " finished_at = now() WHERE job_id = %s"
        ).format(control_table(specification, "migration_jobs")),
        [state, seconds, specification.job],
    )


def fingerprint(specification: Specification, name: str) -> str:
    """What of the specification decides how a load's rows come out, as a SHA-256."""
    load = specification.tables[name]
    used = {f.map for f in load.fields.values() if f.map is not None}
    relevant = {
        "load": load.model_dump(mode="json", by_alias=True),
        "into": specification.target_table(name),
        "maps": {m: specification.maps[m].model_dump(mode="json") for m in sorted(used)},
        "blank": specification.blank_is_missing(load),
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def refuse_changes(target: psycopg.Connection[Any], specification: Specification) -> None:
    """Raises TransfuseError (USER-003) naming the loads that changed since they were planned."""
    rows = target.execute(
        sql.SQL("SELECT load, fingerprint FROM {} WHERE job_id = %s").format(
            control_table(specification, "migration_loads")
        ),
        [specification.job],
    ).fetchall()
    changed = [
        name
        for name, stored in rows
        if name in specification.tables and fingerprint(specification, name) != stored
    ]
    if changed:
        raise TransfuseError(
            [
                specification.tables[name].problem(
                    f"this load has changed since the job '{specification.job}' began",
                    code=ErrorCode.USER_003,
                    remedy="undo the change, or start another job with --job NAME",
                )
                for name in changed
            ]
        )


def plan_loads(
    databases: Connected, programs: Mapping[str, LoadProgram], bounds: PartitionBounds
) -> None:
    """Plans the loads that aren't planned yet: counts, partitions, sequences.

    All of it is one transaction for each load, under the sources' snapshots.
    """
    specification = databases.specification
    rows = databases.target.execute(
        sql.SQL("SELECT load FROM {} WHERE job_id = %s").format(
            control_table(specification, "migration_loads")
        ),
        [specification.job],
    ).fetchall()
    known = {name for (name,) in rows}
    for name, level in level_of(specification).items():
        if name not in known and name in programs:
            _plan_load(databases, programs[name], level, bounds)


def _plan_load(
    databases: Connected, program: LoadProgram, level: int, bounds: PartitionBounds
) -> None:
    specification, target = databases.specification, databases.target
    source = databases.sources[program.source]
    source_rows = 0
    partitions: list[Partition] = []
    several = len(program.relations) > 1
    for position, relation in enumerate(program.relations):
        source_rows += _count(source, relation.sql)
        for found in plan_partitions(
            source, program.name, relation, program.partition_by, program.columns, bounds
        ):
            number = f"{position + 1}-{found.id}" if several else found.id
            partitions.append(
                Partition(program.name, number, found.predicate, found.rows, position)
            )
    with target.transaction():
        _ensure_sequence(databases, program)
        target.execute(
            sql.SQL(
                "INSERT INTO {} (job_id, load, level, target_table, fingerprint, source_rows,"
                " target_rows_before, duplicates_found) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            ).format(control_table(specification, "migration_loads")),
            [
                specification.job,
                program.name,
                level,
                str(program.table),
                fingerprint(specification, program.name),
                source_rows,
                _count(target, program.table.sql),
                not program.finds_duplicates,
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
                    for p in partitions
                ],
            )


def _ensure_sequence(databases: Connected, program: LoadProgram) -> None:
    """Makes the sequence of a generated key that has none, to begin after existing keys."""
    key = program.generated
    if key is None or key.kind != "sequence" or key.sequence is not None:
        return
    name = own_sequence_name(program.table, key)
    row = databases.target.execute(
        sql.SQL("SELECT coalesce(max({}), 0)::int8 + 1 FROM {}").format(
            sql.Identifier(key.name), program.table.sql
        )
    ).fetchone()
    assert row is not None
    databases.target.execute(
        sql.SQL("CREATE SEQUENCE IF NOT EXISTS {} START {}").format(
            control_table(databases.specification, name), sql.Literal(max(1, int(row[0])))
        )
    )


def advance_identities(context: RunContext, target: psycopg.Connection[Any]) -> None:
    """Moves sequences of the target's columns past the keys that were written explicitly."""
    for program in context.programs.values():
        for name in program.target_columns():
            column = program.table.column(name)
            if column is None or column.sequence is None:
                continue
            target.execute(
                sql.SQL(
                    "SELECT setval({sequence}, greatest(m.top, s.last_value))"
                    " FROM (SELECT max({column})::int8 AS top FROM {table}) m, {name} s"
                    " WHERE m.top > s.last_value OR (m.top = s.last_value AND NOT s.is_called)"
                ).format(
                    sequence=sql.Literal(column.sequence),
                    column=sql.Identifier(name),
                    table=program.table.sql,
                    name=sql.SQL(column.sequence),
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


def _count(connection: psycopg.Connection[Any], relation: sql.Composable) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(relation)).fetchone()
    assert row is not None
    return int(row[0])
