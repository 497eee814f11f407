"""Why a job is incomplete: what failed of it, and loads that wait for others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table
from schemas.errors import ErrorCode, Problem
from schemas.recorded_failure import split_remedy
from schemas.specification.root import Specification

SILENT = Problem(
    ErrorCode.CONN_004,
    "rows are left, and no worker has said why: one that doesn't reach the target can't record it",
    "the target, as the workers reach it",
    "see the log of the pool of workers or of the engine; check that the workers have the network,"
    " the service file and the passwords that the launcher has",
)
"""What to say where rows are left and no failure is on record."""


def read_failures(
    target: psycopg.Connection[Any], specification: Specification
) -> tuple[Problem, ...]:
    """One problem for each load and cause, as the ledger of the specification's job has them."""
    selected = sql.SQL(
        "SELECT job_id, load, error_code, error, partition_id FROM {} WHERE state = 'failed'"
        " UNION ALL SELECT job_id, load, error_code, error, NULL FROM {} WHERE NOT settled"
    ).format(
        control_table(specification, "migration_partitions"),
        control_table(specification, "migration_loads"),
    )
    remedy = "start again: only what is missing is done"
    return _failures(target, specification, selected, "{} failed", remedy)


def read_replay_failures(
    target: psycopg.Connection[Any], specification: Specification
) -> tuple[Problem, ...]:
    """One problem for each load and cause for which the last replay has left rejected rows."""
    selected = sql.SQL("SELECT * FROM {} WHERE state = 'done'").format(
        control_table(specification, "migration_partitions")
    )
    remedy = "replay again: rows that are left are as they were"
    return _failures(target, specification, selected, "rejected rows of {} are left", remedy)


def _failures(
    target: psycopg.Connection[Any],
    specification: Specification,
    selected: sql.Composed,
    what: str,
    remedy: str,
) -> tuple[Problem, ...]:
    """The errors of what is ``selected``; ``what`` became of the partitions, with their number."""
    found = target.execute(
        sql.SQL(
            "SELECT load, error_code, error, count(partition_id), min(partition_id)"
            " FROM ({}) AS failed WHERE job_id = %s AND error IS NOT NULL"
            " GROUP BY load, error_code, error ORDER BY load, error_code, error"
        ).format(selected),
        [specification.job],
    ).fetchall()
    return tuple(_failure(*row, what=what, remedy=remedy) for row in found)


def _failure(
    load: str, code: str, told: str, partitions: int, first: str | None, *, what: str, remedy: str
) -> Problem:
    place = f"table {load}"
    told, specific = split_remedy(told)
    if partitions:
        counted = f"{partitions} partition{'s' if partitions > 1 else ''}"
        told = f"{what.format(counted)}: {told}"
        place += f", first partition {first}"
    first_step = specific.removesuffix(", and start again") or "remove the cause"
    return Problem(ErrorCode(code), told, place, f"{first_step}; then {remedy}")


def loads_left_waiting(
    needs: Mapping[str, Collection[str]], only: Sequence[str], complete: Collection[str]
) -> list[Problem]:
    """One problem for each load of a run of ``only`` some that ``needs`` others than these."""
    waiting = {
        name: sorted(_all_needed(needs, name).difference(complete, only))
        for name in only
        if name not in complete
    }
    return [
        Problem(
            ErrorCode.USER_003,
            f"the load wasn't started, because it needs {', '.join(missing)}",
            f"table {name}",
            f"run these as well: {' '.join(f'--table {other}' for other in [*missing, name])}",
        )
        for name, missing in waiting.items()
        if missing
    ]


def _all_needed(needs: Mapping[str, Collection[str]], name: str) -> set[str]:
    """The loads that a load needs, and those that these need."""
    needed: set[str] = set()
    more = {name}
    while more:
        more = {other for one in more for other in needs[one]} - needed
        needed |= more
    return needed - {name}
