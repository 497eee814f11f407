"""Error budgets: how many rows may be rejected before a run stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from schemas.errors import ErrorCode
from transforms.model.run_context import ErrorBudget, RunContext


@dataclass(frozen=True)
class BrokenBudget:
    """A load whose rejected rows are past the budget; ``code`` is None for all of them."""

    load: str
    code: ErrorCode | None
    rejected: int
    candidates: int
    limit: float | int


def broken_budgets(
    connection: psycopg.Connection[Any], context: RunContext, loads: Sequence[str]
) -> list[BrokenBudget]:
    """Which budgets are broken by what has been committed so far."""
    budget = context.budget
    if budget.rejected is None and not budget.codes:
        return []
    # Each partition asks before it starts, so what no budget names isn't taken apart.
    named = [
        sql.SQL(", coalesce(sum((rejected_by ->> {})::int8), 0)::int8").format(code.value)
        for code in budget.codes
    ]
    rows = connection.execute(
        sql.SQL(
            "SELECT load, sum(candidates - skipped)::int8, sum(rejected)::int8{} FROM {}"
            " WHERE job_id = %s AND load = ANY(%s) AND state = 'done' GROUP BY load"
        ).format(sql.SQL("").join(named), context.table("migration_partitions")),
        [context.job, list(loads)],
    ).fetchall()
    return [
        broken
        for load, candidates, rejected, *having in rows
        for broken in broken_by(
            budget,
            load,
            candidates,
            rejected,
            {code.value: count for code, count in zip(budget.codes, having, strict=True)},
        )
    ]


def broken_by(
    budget: ErrorBudget, load: str, candidates: int, rejected: int, by_code: Mapping[str, int]
) -> list[BrokenBudget]:
    """Which budgets of a load those counts break: rows in all, and rows by code.

    ``candidates`` are those that aren't skipped.
    """
    broken = []
    if budget.rejected is not None and _past(budget, budget.rejected, rejected, candidates):
        broken.append(BrokenBudget(load, None, rejected, candidates, budget.rejected))
    for code, limit in budget.codes.items():
        having = int(by_code.get(code.value, 0))
        if _past(budget, limit, having, candidates):
            broken.append(BrokenBudget(load, code, having, candidates, limit))
    return broken


def _past(budget: ErrorBudget, limit: float | int, rejected: int, candidates: int) -> bool:
    if isinstance(limit, float):
        return candidates >= budget.min_rows and rejected > limit * candidates
    return rejected > limit
