"""Output of ``status``: a table of the job's loads, once or until the job has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from pipelines.cli.reports.summary_report import code_tables
from pipelines.terminal.console import (
    print_json,
    print_problems,
    problem_documents,
    stdout,
    table_of,
)
from pipelines.watch.status import JobStatus


def print_status(status: JobStatus, as_json: bool) -> None:
    """Print a status: as JSON it is the summary. Failures of partitions also go to stderr."""
    if as_json:
        _print_document(status)
    else:
        stdout().print(_table(status))
    print_problems(status.failures)


def print_watched_status(statuses: Iterator[JobStatus], as_json: bool) -> None:
    """Show each status in the place of the one before; as JSON only the last is printed.

    Interrupting this doesn't stop the job: the last status that was read counts as the last.
    """
    status = next(statuses)
    if as_json:
        with suppress(KeyboardInterrupt):
            for later in statuses:
                status = later
        _print_document(status)
    else:
        display = Live(_table(status), console=stdout(), auto_refresh=False)
        with suppress(KeyboardInterrupt), display as live:
            for later in statuses:
                status = later
                live.update(_table(status), refresh=True)
    print_problems(status.failures)


def _print_document(status: JobStatus) -> None:
    print_json({**status.summary.model_dump(), "problems": problem_documents(status.failures)})


def _table(status: JobStatus) -> RenderableType:
    summary = status.summary
    if not status.has_run:
        return Text(f"The job '{summary.job}' is being planned.")
    rows = []
    for name, load in summary.tables.items():
        planned = status.planned.get(name)
        rows.append(
            (
                name,
                load.into,
                "-" if planned is None else _percent(load.read, planned),
                f"{load.read:,} of {planned or 0:,}",
                *(f"{count:,}" for count in (load.accepted, load.rejected, load.skipped)),
                f"{load.partitions_done}/{load.partitions}",
                str(load.partitions_failed),
            )
        )
    numbers = ("done", "read", "accepted", "rejected", "skipped", "partitions", "failed")
    table = table_of(_title(status), ("load", "into"), numbers, rows)
    return Group(table, *code_tables(summary))


def _title(status: JobStatus) -> str:
    summary = status.summary
    read = sum(load.read for load in summary.tables.values())
    planned = sum(status.planned.values())
    title = f"{summary.job}: {summary.state} after {summary.seconds:.1f} s"
    if status.is_held and summary.state != "running":
        title += ", and a process is at work on it"
    if summary.state == "complete" or not planned:
        return title
    title += f", {_percent(read, planned)} of {planned:,} rows"
    if summary.state == "running" and read and summary.seconds:
        rate = read / summary.seconds
        title += f", {rate:,.0f} rows/s, {(planned - read) / rate:,.0f} s to go"
    return title


def _percent(done: int, planned: int) -> str:
    return f"{100 * done // planned if planned else 100} %"
