"""Plans that are stored and not needed any more."""

from __future__ import annotations

from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ErrorCode, TransfuseError


def forget_plan(ledger: JobLedger, load: str) -> None:
    """Delete the plan of a load of which nothing is committed, so that it is planned again.

    Args:
        ledger: The job's.
        load: The load.

    Raises:
        TransfuseError: USER-003 if a worker of an earlier run has committed a partition of it
            meanwhile.
    """
    if not ledger.loads.forget_plan(load):
        raise TransfuseError(
            ledger.specification.tables[load].problem(
                "an earlier run is still writing this load",
                code=ErrorCode.USER_003,
                remedy="see that it has ended, and start again",
            )
        )
