"""Fencing: workers of earlier runs of a job can't commit any more when a new run begins."""

from __future__ import annotations

import psycopg

from pipelines.connections.blocking import log_blockers
from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.ledger.run_fence import fence_of
from transforms.model.session_names import ProcessSessions, session_name
from transforms.postgres.connection_pool import FROZEN_SECONDS
from transforms.postgres.session_settings import LOCK_TIMEOUT

_LONGEST = FROZEN_SECONDS + 60
"""Seconds to wait for a commit of an earlier run: the server gives up that of a worker that is
frozen within this time, unless it is in the middle of a statement. A limit that the URL's options
set holds here too."""


def end_earlier_runs(ledger: JobLedger) -> None:
    """Raise the job's number of runs, and wait until no earlier run is storing anything.

    Sessions that hold this up are logged.

    Args:
        ledger: The job's.

    Raises:
        TransfuseError: SYS-005, exit status 3, if it takes too long.
    """
    ledger.job.raise_run_number()
    session, specification = ledger.session, ledger.specification
    fence = {"fence": fence_of(specification.target.control_schema, specification.job)}
    is_free = session.execute(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(%(fence)s, 0))", fence
    )
    if is_free.fetchone() == (True,):
        return
    name = session_name(ProcessSessions.verb, specification.job)
    try:
        with (
            log_blockers(specification.target.url, name),
            ledger.connection.transaction(),
        ):
            session.execute(
                "SELECT set_config('application_name', %(name)s, true), CASE"
                " WHEN current_setting('lock_timeout')::interval = %(ours)s::interval"
                " THEN set_config('lock_timeout', %(longest)s, true) END",
                {"name": name, "ours": LOCK_TIMEOUT, "longest": f"{_LONGEST}s"},
            )
            session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%(fence)s, 0))", fence)
    except psycopg.errors.LockNotAvailable:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_005,
                f"a worker of an earlier run of the job '{specification.job}' is still storing"
                " its rows",
                "the target",
                "end that worker or its session (see above), and start again",
            ),
            ExitStatus.INCOMPLETE,
        ) from None
