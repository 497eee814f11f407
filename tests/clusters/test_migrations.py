"""A migration on a cluster keeps to its connection limits, and ends in order."""

from __future__ import annotations

import signal

import pytest
from psycopg.conninfo import conninfo_to_dict

from clusters.cluster_engine import WORKERS
from schemas.errors import ExitStatus
from tests.support.clusters.broken_clusters import (
    ENDED,
    WANTED,
    Content,
    Run,
    asked,
    assert_as_undisturbed,
    broken,
    cancel,
    held_back,
    in_the_middle,
    jobs_of,
    waiting,
)
from tests.support.clusters.running_clusters import Running
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.support.runs.child_runs import kill_all, start
from tests.support.waiting import LONGEST, wait_until

__all__ = ["broken"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("interrupts", "state"), [(1, "FINISHED"), (2, "CANCELED")], ids=["once", "twice"]
)
def test_ctrl_c_ends_a_run_in_order_and_twice_at_once(
    databases: TwoDatabases, undisturbed: Content, broken: Running, interrupts: int, state: str
) -> None:
    prepare(databases)
    with held_back(databases, "visits") as holder:
        run = in_the_middle(databases, broken)
        for _ in range(interrupts):
            run.launcher.send_signal(signal.SIGINT)
            wait_until(lambda: databases.target.row(WANTED) == ("stop",))
        if interrupts == 1:
            holder.rollback()
        run.ends(ExitStatus.STOPPED)
        wait_until(lambda: jobs_of(broken)[run.job] in ENDED)
        assert jobs_of(broken)[run.job] == state
    Run(databases, broken).ends(ExitStatus.COMPLETE)
    assert_as_undisturbed(databases, undisturbed)


def test_a_job_that_is_cancelled_in_the_engine_is_told_as_that(
    databases: TwoDatabases, undisturbed: Content, broken: Running
) -> None:
    prepare(databases)
    with held_back(databases, "visits"):
        run = in_the_middle(databases, broken)
        cancel(broken, run.job)
        told = run.ends(ExitStatus.INCOMPLETE)
    assert "USER-003" in told
    assert "somebody has cancelled the job in the engine" in told
    Run(databases, broken).ends(ExitStatus.COMPLETE)
    assert_as_undisturbed(databases, undisturbed)


def test_workers_that_do_not_reach_the_target_are_told_of(
    databases: TwoDatabases, broken: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher has a service file, and the pool of workers hasn't."""
    prepare(databases)
    found = conninfo_to_dict(databases.target.url)
    services = databases.folder / "services"
    named = "".join(f"{name}={value}\n" for name, value in found.items())
    services.write_text(f"[target]\n{named}", encoding="utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    header = SMALL.replace("${TARGET_URL}", "postgresql:///?service=target")
    told = Run(databases, broken, header=header).ends(ExitStatus.INCOMPLETE)
    assert "CONN-004" in told
    assert "no worker recorded a reason" in told


def busy(running: Running) -> int:
    """How many workers of a cluster have something to do."""
    if "FlinkRunner" in running.cluster.flags[0]:
        overview = asked(running, "/overview")
        return int(overview["slots-total"]) - int(overview["slots-available"])
    return sum(job["cores"] for job in asked(running, "/json/")["activeapps"])


@pytest.mark.parametrize(("engine", "limit"), [("flink", 1), ("spark", 1)])
def test_a_cluster_works_on_no_more_partitions_than_there_may_be_connections(
    databases: TwoDatabases, engine: str, limit: int, request: pytest.FixtureRequest
) -> None:
    running: Running = request.getfixturevalue(engine)
    assert WORKERS == 2
    prepare(databases)
    header = SMALL.replace("limits: {", f"limits: {{connections: {{target: {limit}}}, ")
    path = databases.write(SPECIFICATION, header)
    with held_back(databases, "people, totals") as holder:
        process = start(databases, path, running.cluster.flags)
        try:
            wait_until(lambda: len(waiting(databases.target)) == limit)
            assert busy(running) == limit
            holder.rollback()
            assert process.wait(timeout=LONGEST) == ExitStatus.COMPLETE
        finally:
            kill_all(process)
    wait_until(lambda: busy(running) == 0)
