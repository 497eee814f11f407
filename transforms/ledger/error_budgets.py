"""Error budgets: how many rows may be rejected before a run stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from schemas.errors import ErrorCode
from transforms.ledger.ledger_session import LedgerSession
from transforms.model.run_context import ErrorBudget


@dataclass(frozen=True)
class BrokenBudget:
    """A load whose rejected rows are past the budget; ``code`` is None for all of them."""

    load: str
    code: ErrorCode | None
    rejected: int
    candidates: int
    limit: float | int


@dataclass(frozen=True)
class ErrorBudgets:
    """Compares the committed partitions of loads with the budget of a run.

    Attributes:
        session: That of the run.
        budget: The budget of each load.
    """

    session: LedgerSession
    budget: ErrorBudget

    def find_broken(self, loads: Sequence[str]) -> list[BrokenBudget]:
        """Find the budgets that are broken by what has been committed so far.

        Args:
            loads: Those that are looked at.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        budget = self.budget
        if budget.rejected is None and not budget.codes:
            return []
        # Each partition asks before it starts, so codes without a budget aren't taken apart.
        by_code = [
            sql.SQL(", coalesce(sum((rejected_by ->> {})::int8), 0)::int8").format(code.value)
            for code in budget.codes
        ]
        rows = self.session.execute(
            "SELECT load, sum(candidates - skipped)::int8, sum(rejected)::int8{by_code}"
            " FROM {migration_partitions} WHERE job_id = %(job)s AND load = ANY(%(loads)s)"
            " AND state = 'done' GROUP BY load",
            {"loads": list(loads)},
            by_code=sql.SQL("").join(by_code),
        ).fetchall()
        return [
            broken
            for load, candidates, rejected, *counts in rows
            for broken in broken_budgets_of_load(
                budget,
                load,
                candidates,
                rejected,
                {code.value: count for code, count in zip(budget.codes, counts, strict=True)},
            )
        ]


def broken_budgets_of_load(
    budget: ErrorBudget, load: str, candidates: int, rejected: int, rejected_by: Mapping[str, int]
) -> list[BrokenBudget]:
    """The budgets of a load that its counts break.

    Args:
        budget: The budget of each load.
        load: The load.
        candidates: Its candidates, without those that are skipped.
        rejected: The rejected among them.
        rejected_by: The same, by code.
    """
    broken = []
    if budget.rejected is not None and _is_past(budget, budget.rejected, rejected, candidates):
        broken.append(BrokenBudget(load, None, rejected, candidates, budget.rejected))
    for code, limit in budget.codes.items():
        count = int(rejected_by.get(code.value, 0))
        if _is_past(budget, limit, count, candidates):
            broken.append(BrokenBudget(load, code, count, candidates, limit))
    return broken


def _is_past(budget: ErrorBudget, limit: float | int, rejected: int, candidates: int) -> bool:
    if isinstance(limit, float):
        return candidates >= budget.min_rows and rejected > limit * candidates
    return rejected > limit
