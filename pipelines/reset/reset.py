"""``reset``: removes exactly what a job wrote and forgets it, so that ``migrate`` starts over."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.databases.database_errors import told_for
from pipelines.ledger.control_schema import create_control_tables, ensure_current_version
from pipelines.ledger.earlier_runs import end_former_runs
from pipelines.ledger.index_store import restore_indexes
from pipelines.ledger.job import control_table, stored_job
from pipelines.ledger.job_lock import job_lock
from pipelines.ledger.reset_command import migrate_command, reset_command
from pipelines.ledger.reset_scope import StoredLoad, loads_to_reset, read_stored_loads
from pipelines.ledger.written_tables import WrittenTable, read_written_tables
from pipelines.rejects.reject_filter import never_ran
from pipelines.reset.row_ownership import Ownership, find_own_rows
from pipelines.reset.row_removal import lock_tables, remove_rows
from pipelines.terminal.confirmation import is_confirmed
from pipelines.terminal.console import print_json, stderr, stdout, table_of
from schemas.control_tables import control_metadata
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect
from transforms.postgres.row_security import WHOLE_TABLES


def show_reset(
    specification: Specification, named: Sequence[str], yes: bool, as_json: bool
) -> ExitStatus:
    """Removes the rows of a job, or of some of its loads, and what the ledger says of them.

    Rows, ledger, violations and keys go in one transaction, so that it is done or not done
    however it ends. The site's decisions on codes stay.

    Args:
        specification: that of the job.
        named: the loads, all without any.
        yes: whether not to ask on a terminal.
        as_json: whether to print the counts as JSON.

    Returns:
        STOPPED where the person who was asked said no.

    Raises:
        TransfuseError: exit status 2, and no row or ledger entry is changed: USER-003 where the job
            is running or hasn't run, where its rows can't be told from others, or where others
            rely on them; USER-001 for an unknown load and where nobody can be asked; USER-002 where
            the role may not delete rows. Exit status 3 where an index can't be built again first.
    """
    with connect(specification.target.url, settings=WHOLE_TABLES) as target:
        ensure_current_version(target, specification)
        if stored_job(target, specification) is None:
            raise TransfuseError(never_ran(specification))
        create_control_tables(specification)
        with told_for("target"):
            loads, tables, own = _survey(target, specification, named)
        _refuse_unasked(specification, named, yes)
        # Before the job is locked: nobody has to wait for the answer.
        if not yes and not is_confirmed(_question(specification, loads, tables, own, named)):
            stderr().print("Nothing was changed.")
            return ExitStatus.STOPPED
        with job_lock(target, specification):
            end_former_runs(target, specification)
            unbuilt = restore_indexes(target, specification)
            if unbuilt:
                raise TransfuseError(unbuilt, ExitStatus.INCOMPLETE)
            with told_for("target"), target.transaction():
                own = _reset(target, specification, named)
    _print(specification, own, as_json)
    return ExitStatus.COMPLETE


def _survey(
    target: psycopg.Connection[Any], specification: Specification, named: Sequence[str]
) -> tuple[dict[str, StoredLoad], list[WrittenTable], Ownership]:
    stored = read_stored_loads(target, specification)
    chosen = loads_to_reset(target, specification, stored, named)
    loads = {name: load for name, load in stored.items() if name in chosen}
    tables = read_written_tables(target, specification, chosen)
    own = find_own_rows(target, specification, loads, tables)
    if own.problems:
        raise TransfuseError(own.problems)
    return loads, tables, own


def _refuse_unasked(specification: Specification, named: Sequence[str], yes: bool) -> None:
    if yes or (sys.stdin is not None and sys.stdin.isatty()):
        return
    raise TransfuseError(
        Problem(
            ErrorCode.USER_001,
            "rows are only deleted where somebody confirms it, and nobody can be asked here",
            "stdin",
            f"confirm it beforehand: {reset_command(specification, named)} --yes",
        )
    )


def _question(
    specification: Specification,
    loads: Mapping[str, StoredLoad],
    tables: Sequence[WrittenTable],
    own: Ownership,
    named: Sequence[str],
) -> str:
    names = ", ".join(table.name for table in tables if own.rows_in(table))
    rows = f"Delete {_rows(own.rows)} of {names}" if names else "Delete no rows"
    forgotten = f"the loads {', '.join(loads)} of the job" if named else "the job"
    left = sum(rows.left for rows in own.loads.values())
    kept = f" Others have changed or deleted {_rows(left)}, which stay as they are." if left else ""
    return f"{rows}, and forget {forgotten} '{specification.job}'?{kept}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _reset(
    target: psycopg.Connection[Any], specification: Specification, named: Sequence[str]
) -> Ownership:
    """Removes rows and ledger in the caller's transaction; what was removed."""
    stored = read_stored_loads(target, specification)
    chosen = loads_to_reset(target, specification, stored, named)
    # A deferred check would keep a table from being indexed.
    target.execute("SET CONSTRAINTS ALL IMMEDIATE")
    lock_tables(target, read_written_tables(target, specification, chosen))
    # Again, because only now nobody can change rows in between.
    _, tables, own = _survey(target, specification, named)
    for table in tables:
        remove_rows(target, specification, chosen, table, own.rows_in(table))
    if chosen == {*stored}:
        _forget_job(target, specification)
    else:
        _forget_loads(target, specification, chosen)
    return own


def _forget_job(target: psycopg.Connection[Any], specification: Specification) -> None:
    for table in control_metadata(specification.target.control_schema).sorted_tables:
        if "job_id" in table.columns:
            target.execute(
                sql.SQL("DELETE FROM {} WHERE job_id = %s").format(
                    control_table(specification, table.name)
                ),
                [specification.job],
            )


def _forget_loads(
    target: psycopg.Connection[Any],
    specification: Specification,
    chosen: Collection[str],
) -> None:
    job = specification.job
    # Which of the rows of these tables are placeholders: all loads that made any are reset too.
    target.execute(
        sql.SQL(
            "DELETE FROM {} WHERE job_id = %s AND target_table IN"
            " (SELECT target_table FROM {} WHERE job_id = %s AND load = ANY(%s))"
        ).format(
            control_table(specification, "migration_placeholders"),
            control_table(specification, "migration_loads"),
        ),
        [job, job, list(chosen)],
    )
    for table in control_metadata(specification.target.control_schema).sorted_tables:
        if "load" in table.columns:
            target.execute(
                sql.SQL("DELETE FROM {} WHERE job_id = %s AND load = ANY(%s)").format(
                    control_table(specification, table.name)
                ),
                [job, list(chosen)],
            )
    target.execute(
        sql.SQL(
            "UPDATE {} SET state = 'incomplete', finished_at = NULL, updated_at = now()"
            " WHERE job_id = %s"
        ).format(control_table(specification, "migration_jobs")),
        [job],
    )


def _print(specification: Specification, own: Ownership, as_json: bool) -> None:
    if as_json:
        tables = {
            name: {"removed": rows.rows, "left": rows.left} for name, rows in own.loads.items()
        }
        print_json({"job": specification.job, "tables": tables})
        return
    listed = [(name, f"{rows.rows:,}", f"{rows.left:,}") for name, rows in own.loads.items()]
    stdout().print(table_of("Reset", ("table",), ("removed", "left"), listed))
    if any(rows.left for rows in own.loads.values()):
        stdout().print(
            "'left' counts rows that others have changed or deleted since. What is still there is"
            " not the job's any more: the next run finds these keys in the target."
        )
    stdout().print(f"To start over: {migrate_command(specification)}", markup=False)
