"""Why a job is incomplete: partitions that failed, and loads that wait for others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.job import control_table
from schemas.errors import ErrorCode, Problem
from schemas.specification.load_order import prerequisites
from schemas.specification.root import Specification


def read_failures(
    target: psycopg.Connection[Any], specification: Specification
) -> tuple[Problem, ...]:
    """One problem for each load and cause, as the ledger of the specification's job has them."""
    rows = target.execute(
        sql.SQL(
            "SELECT load, error_code, error, count(*), min(partition_id) FROM {}"
            " WHERE job_id = %s AND state = 'failed' GROUP BY load, error_code, error"
            " ORDER BY load, error_code, error"
        ).format(control_table(specification, "migration_partitions")),
        [specification.job],
    ).fetchall()
    return tuple(
        Problem(
            ErrorCode(code),
            f"{count} partition{'s' if count > 1 else ''} failed: {told}",
            f"table {load}, first partition {first}",
            "remove the cause and start again: only what is missing is done",
        )
        for load, code, told, count, first in rows
    )


def loads_left_waiting(
    specification: Specification, only: Sequence[str], complete: Collection[str]
) -> list[Problem]:
    """One problem for each load of a run of ``only`` some that needs others than these."""
    needed = prerequisites(specification)
    waiting = {
        name: sorted(needed[name].difference(complete, only))
        for name in only
        if name not in complete
    }
    return [
        Problem(
            ErrorCode.USER_003,
            f"the load wasn't started, because it needs {', '.join(missing)}",
            f"table {name}",
            "do without --table, or name with it what the load needs",
        )
        for name, missing in waiting.items()
        if missing
    ]
