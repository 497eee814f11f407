"""The summary of a job: a table of its loads, and its violations and warnings by code."""

from __future__ import annotations

from rich.table import Table

from pipelines.terminal.console import stdout, table_of
from schemas.errors import ErrorCode
from schemas.summary import Summary


def print_summary(summary: Summary) -> None:
    """Print the counts of each load, and violations and warnings by code."""
    names = ("read", "accepted", "rejected", "skipped", "written", "expanded")
    rows = [
        (
            name,
            load.into,
            *(f"{getattr(load, count):,}" for count in names),
            f"{load.partitions_done}/{load.partitions}",
        )
        for name, load in summary.tables.items()
    ]
    title = f"{summary.job}: {summary.state} after {summary.seconds:.1f} s"
    table = table_of(title, ("load", "into"), (*names, "partitions"), rows)
    for shown_table in (table, *code_tables(summary)):
        stdout().print(shown_table)


def code_tables(summary: Summary) -> list[Table]:
    """Tables of violations by code and of warnings by code; none for a kind without any."""
    tables = []
    for title, counts in (("Violations", summary.violations), ("Warnings", summary.warnings)):
        rows = [
            (code, ErrorCode(code).description, ErrorCode(code).severity.label, f"{count:,}")
            for code, count in sorted(counts.items(), key=lambda item: -item[1])
        ]
        if rows:
            tables.append(table_of(title, ("code", "meaning", "severity"), ("count",), rows))
    return tables
