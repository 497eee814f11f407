"""Output of ``status``: a table of the job's loads, once or until the job has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from pipelines.cli.reports.summary_report import code_tables
from pipelines.ledger.run_rows import StoredRun
from pipelines.terminal.console import (
    print_json,
    print_problems,
    problem_documents,
    stdout,
    table_of,
)
from pipelines.watch.status import JobStatus
from schemas.run_metrics import RunSample, StoredAlert

_SHOWN_RUNS = 5
"""Runs that are listed for people; all that a status has are in its JSON."""


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
    print_json(
        {
            **status.summary.model_dump(),
            "problems": problem_documents(status.failures),
            "alerts": [_alert_document(alert) for alert in status.alerts],
            "metrics": _sample_document(status),
            "runs": [_run_document(run) for run in status.runs],
        }
    )


def _alert_document(alert: StoredAlert) -> dict[str, object]:
    return {
        "metric": alert.metric,
        "code": alert.code,
        "message": alert.message,
        "began_at": alert.began_at.isoformat(),
    }


def _run_document(run: StoredRun) -> dict[str, object]:
    ended = None if run.finished_at is None else run.finished_at.isoformat()
    times = {"started_at": run.started_at.isoformat(), "finished_at": ended}
    return {**vars(run), **times}


def _sample_document(status: JobStatus) -> dict[str, object] | None:
    if status.sample is None:
        return None
    at, sample = status.sample
    measures = {name: value for name, value in vars(sample).items() if name != "is_loading"}
    return {"at": at.isoformat(), **measures}


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
    alerts = [
        Text(f"{alert.began_at.astimezone():%H:%M:%S} {alert.code} {alert.metric}: {alert.message}")
        for alert in status.alerts
    ]
    measures = [Text(_describe_sample(status.sample[1]))] if status.sample else []
    parts = [*(measures if status.is_held else ()), *alerts, *code_tables(summary)]
    return Group(table, *parts, *_run_table(status.runs))


def _run_table(runs: Sequence[StoredRun]) -> Iterator[RenderableType]:
    rows = [
        (
            "-" if run.number is None else str(run.number),
            run.verb,
            run.state,
            f"{run.started_at.astimezone():%Y-%m-%d %H:%M}",
            run.person,
            ", ".join(run.error_codes),
        )
        for run in runs[:_SHOWN_RUNS]
    ]
    if rows:
        names = ("run", "verb", "state", "started", "by", "codes")
        yield table_of("The latest runs", names, (), rows)


def _describe_sample(sample: RunSample) -> str:
    """The latest measures in a line of 80 columns at most, as far as there are any."""
    shares = {
        "rejected": sample.rejected_percent,
        "CPU": sample.cpu_percent,
        "memory": sample.memory_percent,
        "disk": sample.disk_percent,
        "network": sample.network_percent,
    }
    measured = [f"{name} {value:.0f}%" for name, value in shares.items() if value is not None]
    return ", ".join([f"{sample.rows_per_second:,.0f} rows/s", *measured])


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
