"""A job in the control tables: made once, planned, and continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from pipelines.ledger.control_access import is_readable
from pipelines.ledger.job_lock import is_running
from schemas.errors import ErrorCode, TransfuseError
from schemas.specification.root import Specification


@dataclass(frozen=True)
class StoredJob:
    """A job's row: when it began (ISO 8601 with zone), how often it has run, and of what.

    ``digest`` is that of the specification of its last run.
    """

    started_at: str
    runs: int
    state: str
    digest: str


def control_table(specification: Specification, name: str) -> sql.Identifier:
    """A control table of a specification as it stands in SQL."""
    schema = specification.target.control_schema
    return sql.Identifier(name) if schema is None else sql.Identifier(schema, name)


def forget_left_maps(target: psycopg.Connection[Any], specification: Specification) -> None:
    """Deletes what maps hold of a run of the job that was killed: keys may be those of patients.

    Nothing is deleted while another process has the job: its workers need it.
    """
    maps = control_table(specification, "migration_maps")
    row = target.execute("SELECT to_regclass(%s)", [maps.as_string()]).fetchone()
    if row is None or row[0] is None:
        # Control tables of another version, which is told later.
        return
    # Asked for first, because a role that may only look is no reason to fail where nothing is left.
    left = sql.SQL("SELECT FROM {} WHERE job_id = %s LIMIT 1").format(maps)
    if target.execute(left, [specification.job]).fetchone() is None:
        return
    with target.transaction():
        if not is_running(target, specification, specification.job):
            target.execute(
                sql.SQL("DELETE FROM {} WHERE job_id = %s").format(maps), [specification.job]
            )


def stored_job(target: psycopg.Connection[Any], specification: Specification) -> StoredJob | None:
    """The job's row, None before its first run.

    Raises:
        TransfuseError: USER-002 where the role may not read it.
    """
    table = control_table(specification, "migration_jobs")
    if not is_readable(target, specification, "migration_jobs"):
        return None
    found = target.execute(
        sql.SQL(
            "SELECT started_at, runs, state, specification_sha256 FROM {} WHERE job_id = %s"
        ).format(table),
        [specification.job],
    ).fetchone()
    if found is None:
        return None
    return StoredJob(found[0].isoformat(), *found[1:])


def stored_job_if_readable(
    target: psycopg.Connection[Any], specification: Specification
) -> StoredJob | None:
    """As ``stored_job``, and None where the role may not read it: for a caller that checks the
    rights of the role next, and reports whatever it lacks."""
    try:
        return stored_job(target, specification)
    except TransfuseError:
        return None


def stored_jobs(target: psycopg.Connection[Any], specification: Specification) -> list[str]:
    """The names of all jobs in the control tables, none where there are no such tables."""
    if not is_readable(target, specification, "migration_jobs"):
        return []
    table = control_table(specification, "migration_jobs")
    rows = target.execute(sql.SQL("SELECT job_id FROM {} ORDER BY 1").format(table)).fetchall()
    return [job for (job,) in rows]


def begin_run(
    target: psycopg.Connection[Any],
    specification: Specification,
    started_at: str,
    text: str,
    maps: Mapping[str, str],
    decisions: Mapping[str, Mapping[str, Any]],
) -> int:
    """Writes or updates the job's row for another run, and gives the run's number, to which
    ``end_former_runs`` has raised it.

    Failed partitions become planned ones again, and what loads failed of is forgotten.
    ``text`` is the specification as written, without passwords, ``maps`` labels by name,
    ``decisions`` those of the site on codes, by map.
    """
    jobs = control_table(specification, "migration_jobs")
    with target.transaction():
        row = target.execute(
            sql.SQL(
                "INSERT INTO {} AS j (job_id, state, wanted, specification, specification_sha256,"
                " maps, decisions, started_at, runs)"
                " VALUES (%s, 'running', 'run', %s, %s, %s, %s, %s, 1)"
                " ON CONFLICT (job_id) DO UPDATE SET state = 'running', wanted = 'run',"
                " specification = excluded.specification, maps = excluded.maps,"
                " decisions = excluded.decisions,"
                " specification_sha256 = excluded.specification_sha256, updated_at = now(),"
                " finished_at = NULL RETURNING runs"
            ).format(jobs),
            [
                specification.job,
                text,
                specification.digest,
                Jsonb(dict(maps)),
                Jsonb(decisions),
                datetime.fromisoformat(started_at),
            ],
        ).fetchone()
        for statement, table in (
            ("SET state = 'planned' WHERE state = 'failed'", "migration_partitions"),
            ("SET error_code = NULL, error = NULL WHERE error IS NOT NULL", "migration_loads"),
        ):
            target.execute(
                sql.SQL(f"UPDATE {{}} {statement} AND job_id = %s").format(
                    control_table(specification, table)
                ),
                [specification.job],
            )
    assert row is not None
    return int(row[0])


def mark_referenced(
    target: psycopg.Connection[Any], specification: Specification, loads: Sequence[str]
) -> None:
    """Has the violations of loads found as causes that no load referred to when they arose."""
    target.execute(
        sql.SQL(
            "UPDATE {} SET referenced = true WHERE job_id = %s AND load = ANY(%s)"
            " AND NOT referenced"
        ).format(control_table(specification, "migration_errors")),
        [specification.job, list(loads)],
    )


def forget_plan(target: psycopg.Connection[Any], specification: Specification, load: str) -> None:
    """Drops the plan of a load of which nothing is committed, so that it is planned anew.

    Raises TransfuseError (USER-003) where a partition of it has been committed meanwhile, by a
    writer of a former run.
    """
    partitions = control_table(specification, "migration_partitions")
    values = [specification.job, load]
    with target.transaction():
        states = target.execute(
            sql.SQL("SELECT state FROM {} WHERE job_id = %s AND load = %s FOR UPDATE").format(
                partitions
            ),
            values,
        ).fetchall()
        if ("done",) in states:
            raise TransfuseError(
                specification.tables[load].problem(
                    "a former run is still writing this load",
                    code=ErrorCode.USER_003,
                    remedy="see that it has ended, and start again",
                )
            )
        for table in (
            "migration_partitions",
            "migration_duplicates",
            "migration_group_findings",
            "migration_loads",
        ):
            target.execute(
                sql.SQL("DELETE FROM {} WHERE job_id = %s AND load = %s").format(
                    control_table(specification, table)
                ),
                values,
            )
