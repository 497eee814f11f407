"""Names who else has written into a table of the target while a job ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table
from schemas.catalog import Relation
from schemas.errors import ErrorCode, Problem
from schemas.specification.root import Specification

_SESSIONS = """
SELECT DISTINCT format('process %%s of %%s (%%s)', a.pid, a.usename, a.application_name)
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.relation = ANY(%(tables)s::regclass[]) AND l.mode = 'RowExclusiveLock'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.pid <> pg_backend_pid() ORDER BY 1
"""

_TRIGGERS = """
SELECT DISTINCT tgname::text FROM pg_trigger
WHERE tgrelid = ANY(%(tables)s::regclass[]) AND NOT tgisinternal AND tgenabled <> 'D' ORDER BY 1
"""

_WATCH = (
    "SELECT pid, usename, application_name, query FROM pg_stat_activity"
    " WHERE datname = current_database()"
)


def report_other_writers(
    target: psycopg.Connection[Any],
    specification: Specification,
    table: Relation,
    parts: Sequence[str],
    rows: int,
    way_back: str,
) -> Problem:
    """The warning that ``rows`` of a table and its ``parts`` were not written by the job.

    It names the other jobs of the ledger that wrote there meanwhile, the sessions that are writing
    there now, and the table's own triggers, as far as there are any. ``way_back`` is how rows of
    the job come back that such a writer may have deleted: rows are only counted.
    """
    jobs = target.execute(
        sql.SQL(
            "SELECT p.job_id, sum(p.inserted)::int8 FROM {partitions} p"
            " JOIN {loads} l USING (job_id, load) WHERE l.target_table = ANY(%(tables)s)"
            " AND job_id <> %(job)s AND p.inserted > 0 AND p.finished_at >="
            "  (SELECT started_at FROM {jobs} WHERE job_id = %(job)s) GROUP BY 1 ORDER BY 1"
        ).format(
            partitions=control_table(specification, "migration_partitions"),
            loads=control_table(specification, "migration_loads"),
            jobs=control_table(specification, "migration_jobs"),
        ),
        {"job": specification.job, "tables": list(parts)},
    ).fetchall()
    names = {"tables": [table.sql.as_string(target)]}
    writers = [f"the job '{job}' ({written} since this job began)" for job, written in jobs]
    writers += [session for (session,) in target.execute(_SESSIONS, names).fetchall()]
    writers += [f"the trigger {name}" for (name,) in target.execute(_TRIGGERS, names).fetchall()]
    possible = f"; possible writers: {', '.join(writers)}" if writers else ""
    number = "1 row was" if rows == 1 else f"{rows} rows were"
    return Problem(
        ErrorCode.DATA_005,
        f"{number} written by another writer, not by this job, which is in balance{possible}",
        f"table {table}",
        "nothing has to be done for this job, unless others also deleted rows of it: then"
        f" {way_back}; if nobody else should write there, find out who does: {_WATCH}",
    )
