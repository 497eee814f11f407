"""The fence between the runs of a job: workers of an earlier run can no longer store anything.

A worker may outlive its launcher, because it stood still or its engine goes on. By then the next
run may have planned a load again, with other maps or under another specification and with the same
names of partitions; or the control tables are new ones.

A transaction that stores something holds the job's fence, shared, until its end, and asks
``THIS_RUN`` after that. A new run raises the number first and then takes the fence exclusively for
a moment (``pipelines/ledger/earlier_runs.py``): from there on no transaction of an earlier run is
open, so the ledger can be relied upon.
"""

from __future__ import annotations

from transforms.ledger.ledger_session import LedgerSession

THIS_RUN = (
    "(SELECT r.runs FROM {migration_jobs} r WHERE r.job_id = %(job)s"
    " AND r.started_at = %(begun)s::timestamptz) = %(run)s"
)
"""SQL that is true as long as the run is the job's last one; ``{this_run}`` in the statements of a
worker. Its values are those of ``RunContext.identity``.

The moment at which the job began distinguishes it from one of the same name in control tables that
were dropped since, which has the same numbers.
"""

NOT_HALTED = (
    "NOT EXISTS (SELECT FROM {migration_halts} h WHERE h.job_id = %(job)s"
    " AND h.load = ANY(%(halting)s::text[]))"
)
"""SQL that is true as long as no emergency stop isolates a load or one that it needs, to whose
table it may write placeholders; ``{not_halted}`` in the statements of a worker."""


def fence_of(control_schema: str | None, job: str) -> str:
    """The name of a job's fence, whose hash is the advisory lock."""
    return f"transfuse commits/{control_schema or ''}/{job}"


def hold_fence(session: LedgerSession) -> None:
    """Make a run that begins now wait until the current transaction has ended.

    A statement of its own, since the next one must see what was committed until now.

    Raises:
        psycopg.Error: The server can't be reached.
    """
    session.execute(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended(%(fence)s, 0))",
        {"fence": fence_of(session.control_schema, session.job)},
    )
