"""A job in the control tables: made once, planned, and continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.job_row import RunRecord, StoredJob
from schemas.errors import ErrorCode, TransfuseError
from schemas.specification.root import Specification


def control_table(specification: Specification, name: str) -> sql.Identifier:
    """A control table of a specification as it stands in SQL."""
    schema = specification.target.control_schema
    return sql.Identifier(name) if schema is None else sql.Identifier(schema, name)


def forget_left_maps(target: psycopg.Connection[Any], specification: Specification) -> None:
    """See ``MapRows.delete_left_over``."""
    JobLedger(target, specification).maps.delete_left_over()


def stored_job(target: psycopg.Connection[Any], specification: Specification) -> StoredJob | None:
    """See ``JobRow.read``."""
    return JobLedger(target, specification).job.read()


def stored_job_if_readable(
    target: psycopg.Connection[Any], specification: Specification
) -> StoredJob | None:
    """See ``JobRow.read_if_allowed``."""
    return JobLedger(target, specification).job.read_if_allowed()


def stored_jobs(target: psycopg.Connection[Any], specification: Specification) -> list[str]:
    """See ``JobRow.read_names``."""
    return JobLedger(target, specification).job.read_names()


def begin_run(
    target: psycopg.Connection[Any],
    specification: Specification,
    started_at: str,
    text: str,
    maps: Mapping[str, str],
    decisions: Mapping[str, Mapping[str, Any]],
) -> int:
    """See ``JobRow.begin_run``."""
    record = RunRecord(started_at, text, specification.digest, maps, decisions)
    return JobLedger(target, specification).job.begin_run(record)


def mark_referenced(
    target: psycopg.Connection[Any], specification: Specification, loads: Sequence[str]
) -> None:
    """See ``LoadRows.mark_referenced``."""
    JobLedger(target, specification).loads.mark_referenced(loads)


def forget_plan(target: psycopg.Connection[Any], specification: Specification, load: str) -> None:
    """Drops the plan of a load of which nothing is committed, so that it is planned anew.

    Raises TransfuseError (USER-003) where a partition of it has been committed meanwhile, by a
    writer of a former run.
    """
    if not JobLedger(target, specification).loads.forget_plan(load):
        raise TransfuseError(
            specification.tables[load].problem(
                "a former run is still writing this load",
                code=ErrorCode.USER_003,
                remedy="see that it has ended, and start again",
            )
        )
