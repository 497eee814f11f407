"""A migration on a cluster keeps to its connection limits, and ends in order."""

from __future__ import annotations

import json
import signal
import urllib.request
from typing import Any

import pytest

from clusters.engine import WORKERS
from schemas.errors import ExitStatus
from tests.clusters.conftest import Running
from tests.faults.runs import assert_nothing_left, kill_all, start
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.pipelines.two_databases import Row, TwoDatabases
from tests.waiting import LONGEST, wait_until

pytestmark = pytest.mark.slow


def asked(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def jobs_of(running: Running) -> list[str]:
    """The states of all jobs of a Flink cluster."""
    return [job["state"] for job in asked(f"{running.cluster.web}/jobs/overview")["jobs"]]


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
        "SELECT count(*) FROM pg_locks WHERE NOT granted"
        " AND relation IN ('people'::regclass, 'totals'::regclass)"
    )
    return int(count)


def wanted(databases: TwoDatabases) -> str:
    (found,) = databases.target.row("SELECT wanted FROM migration.migration_jobs")
    return str(found)


def busy(running: Running) -> int:
    """How many workers of a cluster have something to do."""
    if "FlinkRunner" in running.cluster.flags[0]:
        overview = asked(f"{running.cluster.web}/overview")
        return int(overview["slots-total"]) - int(overview["slots-available"])
    return sum(job["cores"] for job in asked(f"{running.cluster.web}/json/")["activeapps"])


@pytest.mark.parametrize(("engine", "limit"), [("flink", 1), ("spark", 1)])
def test_a_cluster_works_on_no_more_partitions_than_there_may_be_connections(
    databases: TwoDatabases, engine: str, limit: int, request: pytest.FixtureRequest
):
    running: Running = request.getfixturevalue(engine)
    assert WORKERS == 2
    prepare(databases)
    header = SMALL.replace("limits: {", f"limits: {{connections: {{target: {limit}}}, ")
    path = databases.write(SPECIFICATION, header)
    with databases.target.another() as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE people, totals IN SHARE MODE")
        process = start(databases, path, running.cluster.flags)
        try:
            wait_until(lambda: waiting(databases) == limit)
            assert busy(running) == limit
            holder.rollback()
            assert process.wait(timeout=LONGEST) == ExitStatus.COMPLETE
        finally:
            kill_all(process)
    wait_until(lambda: busy(running) == 0)
