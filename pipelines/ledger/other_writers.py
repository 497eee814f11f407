"""Names the other writers of a table of the target while a job ran."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.ledger.job_ledger import JobLedger
from schemas.catalog import Relation
from schemas.errors import ErrorCode, Problem

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
    ledger: JobLedger, table: Relation, parts: Sequence[str], rows: int, way_back: str
) -> Problem:
    """Report rows of a table that the job didn't write.

    Args:
        ledger: The job's.
        table: The table.
        parts: Its name, and those of its partitions and of what inherits from it.
        rows: How many rows others wrote.
        way_back: How rows of the job come back that such a writer may have deleted: rows are only
            counted.

    Returns:
        A warning that names the other jobs of the ledger that wrote there meanwhile, the sessions
        that are writing there now, and the table's own triggers, as far as there are any.
    """
    target = ledger.connection
    jobs = ledger.counts.read_other_jobs(parts)
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
