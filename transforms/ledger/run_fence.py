"""What keeps the runs of a job apart: of what a former run has made of rows nothing is stored.

A worker may outlive its launcher, by standing still or in an engine that goes on. The next run may
have planned a load anew, with other maps or under another specification and with the same names of
partitions; or the control tables are new ones.

Whoever stores something holds the job's fence, shared, until the end of the transaction, and asks
``OF_THIS_RUN`` after that. A new run raises the number first and then has the fence to itself for a
moment (``pipelines/ledger/earlier_runs.py``): from there on nothing of an earlier one is under way,
so the ledger can be relied upon.
"""

from __future__ import annotations

from typing import Any

import psycopg

from transforms.model.run_context import RunContext

OF_THIS_RUN = (
    "(SELECT r.runs FROM {jobs} r WHERE r.job_id = %(job)s"
    " AND r.started_at = %(begun)s::timestamptz) = %(run)s"
)
"""SQL that is true as long as the run is the job's last one; its values are those of
``RunContext.identity``.

When the job began tells it from one of the same name in control tables that were dropped since,
which has the same numbers.
"""


def fence_of(control_schema: str | None, job: str) -> str:
    """The name of a job's fence, whose hash is the advisory lock."""
    return f"transfuse commits/{control_schema or ''}/{job}"


def hold_fence(connection: psycopg.Connection[Any], context: RunContext) -> None:
    """Has a run that begins now wait until the transaction of ``connection`` has ended.

    A statement of its own, since the next one must see what was committed until now. Raises
    psycopg.Error.
    """
    connection.execute(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))",
        [fence_of(context.control_schema, context.job)],
    )
