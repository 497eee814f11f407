"""The partitions that failed, by their cause: why a job is incomplete."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pipelines.job import control_table
from schemas.errors import ErrorCode, Problem
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
