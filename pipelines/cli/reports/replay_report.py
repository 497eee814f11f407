"""Output of ``rejects replay``: what became of the rows of each load."""

from __future__ import annotations

from dataclasses import asdict

from pipelines.run.replay_outcome import ReplayOutcome
from pipelines.terminal.console import (
    print_json,
    print_problems,
    problem_documents,
    stderr,
    stdout,
    table_of,
)


def print_replay(job: str, outcome: ReplayOutcome, as_json: bool) -> None:
    """Print what became of the rows, and what went wrong."""
    if as_json:
        tables = {name: asdict(load) for name, load in outcome.tables.items()}
        problems = problem_documents([*outcome.warnings, *outcome.problems])
        document = {"job": job, "tables": tables, "freed": dict(outcome.freed)}
        print_json({**document, "problems": problems})
    else:
        _print(job, outcome)
    print_problems(outcome.problems)


def _print(job: str, outcome: ReplayOutcome) -> None:
    console = stdout()
    if not outcome.tables:
        console.print(f"{job}: no open rejections are meant; nothing was changed.")
        return
    names = ("rows", "accepted", "skipped", "rejected", "left")
    rows = [
        (load, *(f"{getattr(replayed, name):,}" for name in names))
        for load, replayed in outcome.tables.items()
    ]
    console.print(table_of("Replayed", ("table",), names, rows))
    if outcome.freed:
        freed = ", ".join(f"{count:,} of {load}" for load, count in outcome.freed.items())
        stderr().print(
            f"Rejected because of rows that are not rejected any more: {freed}. Replay them with"
            " --code DATA-002.",
            markup=False,
        )
