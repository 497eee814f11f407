"""Loads that an earlier version of Transfuse began: whether this one can go on with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.reset_scope import command_to_reset
from schemas.errors import ErrorCode, TransfuseError
from transforms.model.program import LoadProgram


def check_carried_loads(ledger: JobLedger, programs: Mapping[str, LoadProgram]) -> None:
    """Refuse the loads that a run can't go on with, and have the others compared as they need it.

    Args:
        ledger: The job's.
        programs: The loads, compiled.

    Raises:
        TransfuseError: SYS-004, naming every load that can't go on and the command that removes
            what is written of it.
    """
    refuse_carried_loads(ledger, programs, "migrate")
    carried = ledger.carried_loads
    uncompared = {name for name, program in programs.items() if not program.compares_rows}
    carried.mark_compared(uncompared)
    lost = carried.read_with_findings() & uncompared
    if lost:
        _refuse(ledger, dict.fromkeys(sorted(lost), _UNCOMPARED))


def refuse_carried_loads(
    ledger: JobLedger,
    loads: Collection[str],
    verb: Literal["migrate", "replay"],
) -> None:
    """Refuse loads that an upgrade of the control tables couldn't carry over for a verb.

    Args:
        ledger: The job's.
        loads: The loads that the verb is about.
        verb: What is to be done with them.

    Raises:
        TransfuseError: SYS-004, naming every such load and the command that removes what is
            written of it.
    """
    reasons = ledger.carried_loads.read_refused(verb)
    refused = {name: reason for name, reason in reasons.items() if name in loads}
    if refused:
        _refuse(ledger, refused)


_UNCOMPARED = "an earlier version found duplicates among its rows, and this one compares none"


def _refuse(ledger: JobLedger, reasons: Mapping[str, str]) -> None:
    command = command_to_reset(ledger, reasons)
    raise TransfuseError(
        [
            ledger.specification.tables[load].problem(
                f"{load} was begun by an earlier version of Transfuse and can't go on: {reason}",
                code=ErrorCode.SYS_004,
                remedy=f"remove what is written and start over: {command}",
            )
            for load, reason in reasons.items()
        ]
    )
