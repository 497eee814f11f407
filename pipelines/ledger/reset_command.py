"""The command that removes what a job wrote, as messages name it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from schemas.specification.root import Specification


def reset_command(specification: Specification, loads: Sequence[str] = ()) -> str:
    """``transfuse reset`` for the specification's job, ready to be copied.

    Args:
        specification: that of the job.
        loads: the loads to be reset, all without any.

    Returns:
        The command.
    """
    return " ".join(["transfuse", "reset", *_job(specification), *_tables(loads)])


def migrate_command(specification: Specification) -> str:
    """``transfuse migrate`` for the specification's job, ready to be copied."""
    return " ".join(["transfuse", "migrate", *_job(specification)])


def status_command(specification: Specification) -> str:
    """``transfuse status`` for the specification's job, ready to be copied."""
    return " ".join(["transfuse", "status", *_job(specification)])


def resume_command(specification: Specification, load: str = "") -> str:
    """``transfuse resume`` for the specification's job or one of its loads, ready to be copied."""
    loads = [load] if load else []
    return " ".join(["transfuse", "resume", *_job(specification), *_tables(loads)])


def _job(specification: Specification) -> list[str]:
    flags = ["--job", specification.job] if specification.is_job_replaced else []
    return [shlex.quote(specification.at().file or "SPEC"), *flags]


def _tables(loads: Sequence[str]) -> list[str]:
    return [f"--table {shlex.quote(load)}" for load in loads]
