"""What a person sees: problems, progress and the summary. JSON alone goes to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from schemas.errors import ErrorCode, Problem
from schemas.summary import Summary


def stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def stdout() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def print_problems(problems: Sequence[Problem]) -> None:
    """One line each, with what to do below it."""
    console = stderr()
    for problem in problems:
        where = f"{problem.where}: " if problem.where else ""
        console.print(f"[bold red]{problem.code.value}[/] ", end="")
        console.print(f"{where}{problem.message}", markup=False)
        if problem.remedy:
            console.print(f"  -> {problem.remedy}", style="dim", markup=False)


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def print_summary(summary: Summary) -> None:
    """The counts of each load, and violations by code."""
    console = stdout()
    table = Table(title=f"{summary.job}: {summary.state} after {summary.seconds:.1f} s")
    table.add_column("load")
    table.add_column("into")
    names = ("read", "accepted", "rejected", "skipped", "written", "expanded", "partitions")
    for name in names:
        table.add_column(name, justify="right")
    for name, load in summary.tables.items():
        done = f"{load.partitions_done}/{load.partitions}"
        counts = [f"{getattr(load, n):,}" for n in names[:-1]]
        table.add_row(name, load.into, *counts, done)
    console.print(table)
    for title, counts_by_code in (
        ("Violations", summary.violations),
        ("Warnings", summary.warnings),
    ):
        if counts_by_code:
            codes = Table(title=title)
            codes.add_column("code")
            codes.add_column("meaning")
            codes.add_column("severity")
            codes.add_column("count", justify="right")
            for code, count in sorted(counts_by_code.items(), key=lambda item: -item[1]):
                known = ErrorCode(code)
                codes.add_row(code, known.description, known.severity.label, f"{count:,}")
            console.print(codes)
