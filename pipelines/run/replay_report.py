"""``rejects replay`` as a command: replays rows and prints the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from pipelines.rejects.reject_filter import Filter
from pipelines.run.replay import ReplayOutcome, replay
from pipelines.terminal.console import (
    print_json,
    print_problems,
    problem_documents,
    stderr,
    stdout,
    table_of,
)
from schemas.errors import ExitStatus
from schemas.specification.root import Specification


def show_replay(
    specification: Specification,
    wanted: Filter,
    flags: Sequence[str],
    as_json: bool,
) -> ExitStatus:
    """Replays and prints what became of the rows. Raises TransfuseError as ``replay`` does."""
    outcome = replay(specification, wanted, flags)
    if as_json:
        tables = {name: asdict(told) for name, told in outcome.tables.items()}
        problems = problem_documents([*outcome.warnings, *outcome.problems])
        document = {"job": specification.job, "tables": tables, "freed": dict(outcome.freed)}
        print_json({**document, "problems": problems})
    else:
        _print(specification, outcome)
    print_problems(outcome.problems)
    return outcome.status


def _print(specification: Specification, outcome: ReplayOutcome) -> None:
    console = stdout()
    if not outcome.tables:
        console.print(f"{specification.job}: no open rejections are meant; nothing was changed.")
        return
    names = ("rows", "accepted", "skipped", "rejected", "left")
    rows = [
        (load, *(f"{getattr(told, name):,}" for name in names))
        for load, told in outcome.tables.items()
    ]
    console.print(table_of("Replayed", ("table",), names, rows))
    if outcome.freed:
        told = ", ".join(f"{count:,} of {load}" for load, count in outcome.freed.items())
        stderr().print(
            f"Rejected because of rows that are not rejected any more: {told}. Replay them with"
            " --code DATA-002.",
            markup=False,
        )
