"""The upgrade of control tables of an earlier version: all or nothing, while no job runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job_lock import JobLock
from pipelines.ledger.reset_command import status_command
from pipelines.ledger.upgrade_to_2 import carry_over
from pipelines.terminal.installed_version import installed_version
from schemas.control_tables import control_metadata
from schemas.control_upgrades import FIRST_VERSION, SHAPE_OF_VERSION_1, STATEMENTS
from schemas.control_version_tables import CONTROL_VERSION
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.ledger.ledger_session import LedgerSession

CARRY_OVER: Mapping[int, Callable[[LedgerSession], None]] = {2: carry_over}
"""What converts the contents, by the version that it leads to, after the shape has changed; from
version 2 to 3 nothing does."""

_COLUMNS = """
SELECT c.relname, quote_ident(pg_get_userbyid(c.relowner)), pg_has_role(c.relowner, 'USAGE'),
    array_agg(a.attname::text)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = coalesce(%(schema)s, current_schema()) AND c.relkind = 'r'
    AND c.relname = ANY(%(names)s)
GROUP BY c.oid ORDER BY c.relname
"""


def upgrade_tables(
    target: psycopg.Connection[Any], specification: Specification, version: int, where: str
) -> None:
    """Bring control tables to the current version, in the caller's transaction.

    Earlier runs of unfinished jobs can't commit any more: their workers would write as the earlier
    version does.

    Args:
        target: A session to the target, in the transaction that holds the lock of upgrades.
        specification: Names the control schema.
        version: The version of the tables, lower than the current one.
        where: The control schema, for messages.

    Raises:
        TransfuseError: SYS-004 if the tables are of no known shape; USER-002 if the role doesn't
            own them; USER-003 if a process holds one of the jobs.
        psycopg.Error: The server refuses a statement.
    """
    schema = specification.target.control_schema
    session = LedgerSession(target, specification.job, schema)
    names = [table.name for table in control_metadata(schema).sorted_tables]
    names.remove("code_mappings")
    tables = target.execute(_COLUMNS.encode(), {"schema": schema, "names": names}).fetchall()
    _refuse_unowned(specification, tables, version, where)
    if version == FIRST_VERSION:
        _refuse_unknown_shape(tables, where)
    present = sql.SQL(", ").join(session.table(name) for name, *_ in tables)
    # A worker of an earlier run may be committing.
    target.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(present))
    _refuse_running(session, where)
    session.execute("UPDATE {migration_jobs} SET runs = runs + 1 WHERE state <> 'complete'")
    for number in range(version + 1, CONTROL_VERSION + 1):
        for statement in STATEMENTS[number]:
            session.execute(statement)
        if number in CARRY_OVER:
            CARRY_OVER[number](session)
        record_version(session, number)


def record_version(session: LedgerSession, version: int) -> None:
    """Store the version of the control tables, which every user of the schema may read."""
    session.execute(
        "INSERT INTO {migration_schema} (version, release) VALUES (%(version)s, %(release)s)",
        {"version": version, "release": installed_version()},
    )
    session.execute("GRANT SELECT ON {migration_schema} TO PUBLIC")


def _refuse_unowned(
    specification: Specification, tables: list[tuple[Any, ...]], version: int, where: str
) -> None:
    owners = sorted({owner for _, owner, is_ours, _ in tables if not is_ours})
    if not owners:
        return
    raise TransfuseError(
        Problem(
            ErrorCode.USER_002,
            f"the control tables are of version {version}, and only their owner"
            f" {' and '.join(owners)} can bring them to version {CONTROL_VERSION}",
            where,
            f"let {owners[0]} run any command of this Transfuse: {status_command(specification)}",
        )
    )


def _refuse_unknown_shape(tables: list[tuple[Any, ...]], where: str) -> None:
    present = {name: {*columns} for name, _, _, columns in tables}
    shape = {name: {*columns.split()} for name, columns in SHAPE_OF_VERSION_1.items()}
    differing = sorted(name for name in shape if present.get(name) != shape[name])
    later = sorted(present.keys() - shape.keys())
    if not differing and not later:
        return
    raise TransfuseError(
        Problem(
            ErrorCode.SYS_004,
            "the control tables have no version, and aren't those of a release without one:"
            f" {', '.join([*differing, *later])}",
            where,
            "end their jobs with the Transfuse that made them, or name another"
            " target.control_schema",
        )
    )


def _refuse_running(session: LedgerSession, where: str) -> None:
    """Refuses jobs that a process holds; no other gets one before the end of the transaction."""
    jobs = session.execute("SELECT job_id FROM {migration_jobs} ORDER BY job_id").fetchall()
    held = [job for (job,) in jobs if JobLock(session).is_running(job)]
    if not held:
        return
    listed = ", ".join(f"'{job}'" for job in held)
    raise TransfuseError(
        Problem(
            ErrorCode.USER_003,
            "the control tables are of an earlier version and can't be upgraded while their jobs"
            f" run: {listed}",
            where,
            "wait for them, or stop them with the Transfuse that runs them, and start again",
        )
    )
