"""A migration on a cluster leaves behind what one in this process does, and ends in order."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ExitStatus
from tests.clusters.conftest import Running
from tests.faults.runs import assert_nothing_left, kill_all, start
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.pipelines.two_databases import Row, TwoDatabases

pytestmark = pytest.mark.slow

LONGEST = 300.0
"""Seconds within which a migration on a cluster has ended."""


def migrated(databases: TwoDatabases, flags: Sequence[str]) -> str:
    """Runs the migration of people and visits to its end; gives what it has printed."""
    prepare(databases)
    path = databases.write(SPECIFICATION, SMALL)
    process = start(databases, path, flags)
    try:
        status = process.wait(timeout=LONGEST)
    finally:
        kill_all(process)
    log = (databases.folder / "run.log").read_text()
    assert status == ExitStatus.COMPLETE, log
    return log


@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_a_cluster_leaves_behind_what_one_process_does(
    databases: TwoDatabases,
    undisturbed: dict[str, list[Row]],
    engine: str,
    request: pytest.FixtureRequest,
):
    running: Running = request.getfixturevalue(engine)
    migrated(databases, running.cluster.flags)
    assert content(databases) == undisturbed
    assert_nothing_left(databases)


@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_an_engine_within_the_job_server_does_too(
    databases: TwoDatabases,
    undisturbed: dict[str, list[Row]],
    engine: str,
    request: pytest.FixtureRequest,
):
    jar = request.getfixturevalue(engine).job_server
    migrated(databases, embedded(engine, jar))
    assert content(databases) == undisturbed
    assert_nothing_left(databases)


def embedded(engine: str, jar: Path) -> list[str]:
    if engine == "flink":
        return ["--runner=FlinkRunner", "--flink_master=[local]", f"--flink_job_server_jar={jar}"]
    return ["--runner=SparkRunner", "--spark_master_url=local[2]", f"--spark_job_server_jar={jar}"]


def asked(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def jobs_of(running: Running) -> list[str]:
    """The states of all jobs of a Flink cluster."""
    return [job["state"] for job in asked(f"{running.cluster.web}/jobs/overview")["jobs"]]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("interrupts", "state"), [(1, "FINISHED"), (2, "CANCELED")], ids=["once", "twice"]
)
def test_ctrl_c_ends_a_run_in_order_and_twice_at_once(
    databases: TwoDatabases,
    undisturbed: dict[str, list[Row]],
    flink: Running,
    interrupts: int,
    state: str,
):
    prepare(databases)
    path = databases.write(SPECIFICATION, SMALL)
    before = len(jobs_of(flink))
    with databases.target.another() as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE people IN SHARE MODE")
        process = start(databases, path, flink.cluster.flags)
        try:
            wait_until(lambda: jobs_of(flink)[before:].count("RUNNING") == 1)
            wait_until(lambda: waiting(databases) > 0)
            for _ in range(interrupts):
                process.send_signal(signal.SIGINT)
                wait_until(lambda: wanted(databases) == "stop")
            if interrupts == 1:
                holder.rollback()
            assert process.wait(timeout=LONGEST) == ExitStatus.STOPPED
            holder.rollback()
        finally:
            kill_all(process)
    wait_until(lambda: sorted(jobs_of(flink))[0] != "RUNNING")
    wait_until(lambda: state in jobs_of(flink) and "RUNNING" not in jobs_of(flink))
    again = start(databases, path, flink.cluster.flags)
    assert again.wait(timeout=LONGEST) == ExitStatus.COMPLETE
    assert content(databases) == undisturbed
    assert_nothing_left(databases)


def waiting(databases: TwoDatabases) -> int:
    """How many sessions wait for a lock on a table of the target."""
    (count,) = databases.target.row(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'people'::regclass"
    )
    return int(count)


def wanted(databases: TwoDatabases) -> str:
    (found,) = databases.target.row("SELECT wanted FROM migration.migration_jobs")
    return str(found)
