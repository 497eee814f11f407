"""Output of ``plan``: tables of loads and predicted rejects, or JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipelines.preview.migration_plan import MigrationPlan, PlannedLoad
from pipelines.terminal.console import (
    print_json,
    print_problems,
    print_warnings,
    problem_documents,
    stdout,
    table_of,
)
from schemas.errors import ErrorCode, Problem
from transforms.ledger.error_budgets import BrokenBudget

ONLY_AT_WRITE_TIME = (
    "what only writing shows: what others write meanwhile, and rows that collide on a unique index"
    " or lack a parent without the load's key or reference saying so"
)


def print_plan(plan: MigrationPlan, as_json: bool) -> None:
    """Print a plan: warnings first, and last the problems and budgets for which it fails."""
    print_warnings(plan.warnings)
    if as_json:
        print_json(plan_document(plan))
    else:
        _print(plan)
    print_problems([*plan.problems, *map(_broken_budget, plan.broken)])


def _broken_budget(budget: BrokenBudget) -> Problem:
    return Problem(
        ErrorCode.DATA_005,
        f"the error budget would be broken: {budget.rejected:,} of {budget.candidates:,} rows"
        f" rejected{f' with {budget.code.value}' if budget.code else ''}",
        f"table {budget.load}",
        "fix the source, the rules or the maps, or raise errors.budget",
    )


def plan_document(plan: MigrationPlan) -> dict[str, Any]:
    """The plan as JSON. Counts are estimates for all rows, ``in_sample`` those of the sample."""
    return {
        "job": plan.job,
        "rows": plan.rows,
        "sampled": plan.sampled,
        "estimated": plan.sampled < plan.rows,
        "levels": plan.levels,
        "tables": {name: _load_document(load) for name, load in plan.loads.items()},
        "violations": plan.by_code(warnings=False),
        "warnings": plan.by_code(warnings=True),
        "seconds": round(plan.seconds, 1),
        "maps": dict(plan.maps),
        "connections": {"sources": plan.sources, "target": plan.target},
        "broken_budgets": [
            {**asdict(broken), "code": broken.code and broken.code.value} for broken in plan.broken
        ],
        "not_predicted": [ONLY_AT_WRITE_TIME],
        "problems": problem_documents((*plan.problems, *plan.warnings)),
    }


def _load_document(load: PlannedLoad) -> dict[str, Any]:
    prediction = load.prediction
    return {
        "into": load.into,
        "level": load.level,
        "rows": load.rows,
        "partitions": load.partitions,
        "sampled": load.sampled,
        "empty": load.estimate(prediction.empty),
        "candidates": load.estimate(prediction.candidates),
        "accepted": load.estimate(prediction.accepted),
        "rejected": load.estimate(prediction.rejected),
        "skipped": load.estimate(prediction.skipped),
        "expanded": load.estimate(prediction.expanded),
        "written": load.estimate(prediction.accepted + prediction.expanded),
        "skipped_by": {k: load.estimate(n) for k, n in sorted(prediction.skipped_by.items())},
        "predicted": [
            {**kind._asdict(), "rows": rows, "in_sample": prediction.kinds[kind]}
            for kind, rows in load.estimated_kinds.items()
        ],
        "not_predicted": load.not_predicted,
    }


def _print(plan: MigrationPlan) -> None:
    console = stdout()
    extent = f"estimated from {plan.sampled:,} rows"
    if plan.sampled < plan.rows:
        extent += f" of {plan.rows:,}"
    console.print(
        table_of(
            f"{plan.job}: {extent}",
            ("level", "load", "into"),
            ("rows", "partitions", "sampled", "accepted", "rejected", "skipped"),
            (
                _row(name, plan.loads[name])
                for level in plan.levels
                for name in level
                if name in plan.loads
            ),
        )
    )
    for title, warning in (("Predicted rejects", False), ("Predicted warnings", True)):
        rows = [
            (kind.code, kind.rule, name, kind.reason or "", f"{count:,}")
            for name, load in plan.loads.items()
            for kind, count in load.estimated_kinds.items()
            if kind.warning is warning
        ]
        if rows:
            texts = ("code", "rule", "load", "reason")
            console.print(table_of(f"{title}, {extent}", texts, ("rows",), rows))
    console.print("Not predicted:")
    for name, load in plan.loads.items():
        for sentence in load.not_predicted:
            console.print(f"  {name}: {sentence}")
    console.print(f"  {ONLY_AT_WRITE_TIME}")
    for name, label in plan.maps.items():
        console.print(f"Map {name}: {label}", soft_wrap=True)
    sources = ", ".join(f"{count} to {name}" for name, count in plan.sources.items())
    console.print(f"Connections: {sources}, {plan.target} to the target")
    console.print(f"Time: about {_duration(plan.seconds)} on this machine")


def _row(name: str, load: PlannedLoad) -> tuple[str, ...]:
    prediction = load.prediction
    estimates = (prediction.accepted, prediction.rejected, prediction.skipped)
    counts = (load.rows, load.partitions, load.sampled, *map(load.estimate, estimates))
    return (str(load.level + 1), name, load.into, *(f"{count:,}" for count in counts))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
