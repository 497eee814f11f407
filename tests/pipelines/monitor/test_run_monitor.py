"""A run that is measured: its samples, its alerts, and what Prometheus gets."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines import read_specification, status
from pipelines.ledger.control_schema import create_control_tables
from schemas.errors import ExitStatus, TransfuseError
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.support.notices.receivers import receiver
from tests.support.runs.held_runs import gate, running, wait_until


def header(monitor: str) -> str:
    return SMALL + f"monitor: {{every: 100ms, {monitor}}}\n"


@contextmanager
def held_run(
    databases: TwoDatabases, monitor: str, more: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """A run that waits in its first load until the context ends, and has been measured."""
    prepare(databases)
    with (
        gate(databases, "people", "INSERT", "new.id = 2500"),
        running(databases, header(monitor) + more) as process,
    ):
        wait_until(process, lambda: samples(databases) > 1)
        yield process


def samples(databases: TwoDatabases) -> int:
    if databases.target.row("SELECT to_regclass('migration.migration_metrics')") == (None,):
        return 0
    (count,) = databases.target.values("SELECT count(*) FROM migration.migration_metrics")
    return int(count)


def alerts(databases: TwoDatabases) -> list[tuple[Any, ...]]:
    return databases.target.rows(
        "SELECT metric, error_code, severity, ended_at IS NULL FROM migration.migration_alerts"
        " ORDER BY metric"
    )


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def test_a_run_leaves_samples_whose_last_has_all_rows(databases: TwoDatabases) -> None:
    prepare(databases)
    outcome = databases.migrate(SPECIFICATION, header=header("cpu: 100%"))
    read = sum(load.read for load in outcome.summary.tables.values())
    rows = databases.target.rows(
        "SELECT run, rows, rows_per_second > 0, seconds_per_partition > 0, rejected_percent > 0,"
        " memory_percent BETWEEN 0 AND 100, process_bytes > 1e6"
        " FROM migration.migration_metrics ORDER BY at DESC LIMIT 1"
    )
    assert [row[:2] for row in rows] == [(1, read)]
    assert rows[0][4:] == (True, True, True)
    rates = "SELECT count(*) FROM migration.migration_metrics WHERE rows_per_second > 0"
    assert databases.target.values(rates)[0] > 0


@pytest.mark.slow
def test_an_alert_begins_once_and_ends_with_its_run(databases: TwoDatabases) -> None:
    with held_run(databases, "memory: 0%, disk: 100%, cpu: 1000%") as process:
        wait_until(process, lambda: samples(databases) > 4)
        assert ("memory", "SYS-002", "Medium", True) in alerts(databases)
        shown = status(
            read_specification(databases.folder / "specification.yaml", databases.variables)
        )
        assert "memory" in [alert.metric for alert in shown.alerts]
        assert shown.sample is not None
    outcome = databases.migrate(SPECIFICATION, header=header("cpu: 1000%"))
    assert outcome.status is ExitStatus.COMPLETE
    assert [row for row in alerts(databases) if row[0] == "memory"] == [
        ("memory", "SYS-002", "Medium", False)
    ]


@pytest.mark.slow
def test_an_alert_is_sent_once(databases: TwoDatabases) -> None:
    with receiver() as webhook:
        notify = f"notify: [{{to: '{webhook.url}', severity: low, events: [alert]}}]\n"
        with held_run(databases, "memory: 0%, cpu: 1000%", notify) as process:
            wait_until(process, lambda: samples(databases) > 4)
            wait_until(process, lambda: bool(webhook.bodies))
    titles = [json.loads(body)["title"] for body in webhook.bodies]
    assert titles == ["[Medium] moved: SYS-002: memory of run 1"]


@pytest.mark.slow
def test_a_job_that_gets_slower_than_it_was_raises_an_alert(databases: TwoDatabases) -> None:
    path = databases.write(SPECIFICATION, header("cpu: 1000%"))
    create_control_tables(read_specification(path, databases.variables))
    databases.target.run(
        "INSERT INTO migration.migration_metrics (job_id, at, run, host, rows, rows_per_second)"
        " SELECT 'moved', now() - make_interval(mins => i), 0, 'here', 0, 1e9"
        " FROM generate_series(1, 20) i"
    )
    with held_run(databases, "cpu: 1000%") as process:
        wait_until(process, lambda: ("throughput", "SYS-002", "Medium", True) in alerts(databases))


def test_prometheus_gets_the_latest_sample(databases: TwoDatabases) -> None:
    port = free_port()
    with held_run(databases, f"memory: 0%, metrics_port: {port}"):
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            families = {
                family.name: family.samples
                for family in text_string_to_metric_families(answer.read().decode())
            }
        with urlopen(f"http://127.0.0.1:{port}/health") as answer:
            health = json.load(answer)
        with pytest.raises(HTTPError):
            urlopen(f"http://127.0.0.1:{port}/other")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((own_address(), port))
    assert families["transfuse_rows"][0].labels == {"job": "moved"}
    beyond = {sample.labels["metric"]: sample.value for sample in families["transfuse_alert"]}
    assert beyond["memory"] == 1
    assert beyond["throughput"] == 0
    assert health["healthy"] is True
    assert health["job"] == "moved"
    assert "memory" in health["alerts"]


def own_address() -> str:
    """Another address of this machine: all of 127/8 are its own."""
    return "127.0.0.2"


@pytest.mark.slow
def test_a_port_that_is_taken_keeps_no_run_from_its_end(
    databases: TwoDatabases, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(databases)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = databases.migrate(SPECIFICATION, header=header(f"metrics_port: {port}"))
    assert outcome.status is ExitStatus.COMPLETE
    assert f"SYS-005 monitor.metrics_port 127.0.0.1:{port}" in caplog.text


@pytest.mark.slow
def test_how_a_job_is_watched_is_no_change_of_it(databases: TwoDatabases) -> None:
    prepare(databases)
    databases.migrate(SPECIFICATION, header=SMALL)
    assert databases.migrate(SPECIFICATION, header=header("cpu: 10%")).already


@pytest.mark.parametrize(
    ("monitor", "path"),
    [
        ("{every: 0s}", "monitor.every"),
        ("{cpu: 80}", "monitor.cpu"),
        ("{metrics_port: 70000}", "monitor.metrics_port"),
        ("{metrics_address: localhost}", "monitor.metrics_address"),
        ("{load: 5%}", "monitor.load"),
    ],
)
def test_a_wrong_limit_is_refused(databases: TwoDatabases, monitor: str, path: str) -> None:
    written = databases.write(SPECIFICATION, SMALL + f"monitor: {monitor}\n")
    with pytest.raises(TransfuseError) as refused:
        read_specification(written, databases.variables)
    (problem,) = refused.value.problems
    assert problem.where.endswith(path)
    assert problem.remedy
