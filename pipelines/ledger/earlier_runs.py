"""A new run of a job begins by shutting out the former ones, whose workers may still be there."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pipelines.connections.blocking import log_blockers
from pipelines.ledger.job import control_table
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.ledger.run_fence import fence_of
from transforms.postgres.connection_pool import FROZEN_SECONDS
from transforms.postgres.session_settings import LOCK_TIMEOUT

_LONGEST = FROZEN_SECONDS + 60
"""Seconds that a commit of a former run is waited for: of a worker that is frozen within it the
server gives it up in time, unless that is in the middle of a statement. A limit that the URL's
options set holds here too."""


def end_former_runs(target: psycopg.Connection[Any], specification: Specification) -> None:
    """Raises the job's number of runs, and waits until nothing of a former run is being stored.

    Who holds that up is logged. Raises TransfuseError (SYS-005, exit status 3) where it takes too
    long.
    """
    target.execute(
        sql.SQL("UPDATE {} SET runs = runs + 1 WHERE job_id = %s").format(
            control_table(specification, "migration_jobs")
        ),
        [specification.job],
    )
    fence = fence_of(specification.target.control_schema, specification.job)
    free = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
    if target.execute(free, [fence]).fetchone() == (True,):
        return
    name = f"transfuse launcher of {specification.job}"
    try:
        with log_blockers(specification.target.url, name), target.transaction():
            target.execute(
                "SELECT set_config('application_name', %(name)s, true), CASE"
                " WHEN current_setting('lock_timeout')::interval = %(ours)s::interval"
                " THEN set_config('lock_timeout', %(longest)s, true) END",
                {"name": name, "ours": LOCK_TIMEOUT, "longest": f"{_LONGEST}s"},
            )
            target.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [fence])
    except psycopg.errors.LockNotAvailable:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_005,
                f"a worker of a former run of the job '{specification.job}' is still storing what"
                " it has made of rows",
                "the target",
                "end that worker or its session (see above), and start again",
            ),
            ExitStatus.INCOMPLETE,
        ) from None
