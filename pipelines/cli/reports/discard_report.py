"""Output of ``rejects discard`` and ``rejects reopen``: how many rows they changed."""

from __future__ import annotations

from pipelines.ledger.violation_rows import ViolationCounts
from pipelines.terminal.console import print_json, stdout


def discard_question(job: str, counts: ViolationCounts) -> str:
    """The question before rejected rows are given up, with their number."""
    return (
        f"Give up {counts.rows:,} rejected rows of the job '{job}', and"
        f" {counts.violations + counts.warnings:,} violations and warnings that the filter names?"
    )


def print_changed_rejects(job: str, change: str, counts: ViolationCounts, as_json: bool) -> None:
    """Print how many rows, violations and warnings were changed; ``change`` as in "discarded"."""
    named = counts._asdict()
    if as_json:
        print_json({"job": job, **named})
    else:
        listed = ", ".join(f"{count:,} {name}" for name, count in named.items())
        stdout().print(f"{job}: {change} {listed}")
