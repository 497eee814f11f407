"""Flink clusters of which a part is killed or frozen, and repaired."""

from __future__ import annotations

import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import psutil
import psycopg
import pytest

from clusters.cluster_engine import WORKERS
from pipelines.engines.engine_web import answer_of
from schemas.errors import ExitStatus
from tests.support.clusters.running_clusters import Running
from tests.support.databases.two_databases import Database, Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content
from tests.support.runs.child_runs import assert_nothing_left, kill_all, start
from tests.support.waiting import is_alive, wait_until

Content = dict[str, list[Row]]
"""What ``content`` gives."""

WANTED = "SELECT wanted FROM migration.migration_jobs"

ENDED = ("CANCELED", "FAILED", "FINISHED")


JAVA = ("JobManager", *(f"TaskManager {number + 1}" for number in range(WORKERS)))
"""Flink's own processes of a cluster."""

AGAIN = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 100,
    "restart-strategy.fixed-delay.delay": "3 s",
}
"""Until the JobManager takes a TaskManager that was killed for dead, it starts steps again there,
and each time counts as an attempt. A Python worker that was killed is forgotten when nothing has
been asked of it for two seconds."""


def asked(running: Running, path: str) -> dict[str, Any]:
    """What the cluster's REST interface answers; nothing where it doesn't."""
    return answer_of(f"{running.cluster.web}{path}")


def cancel(running: Running, job: str) -> None:
    url = f"{running.cluster.web}/jobs/{job}?mode=cancel"
    # It may have ended meanwhile.
    with suppress(OSError):
        urllib.request.urlopen(urllib.request.Request(url, method="PATCH"), timeout=10).close()


def jobs_of(running: Running) -> dict[str, str]:
    """The states of all jobs that the cluster knows, by their ids."""
    answer: dict[str, Any] = {}
    wait_until(lambda: bool(answer.update(asked(running, "/jobs/overview")) or "jobs" in answer))
    return {job["jid"]: job["state"] for job in answer["jobs"]}


def was_restarted(running: Running, job: str) -> bool:
    """Whether the engine has started steps of a job anew."""
    return bool(asked(running, f"/jobs/{job}").get("timestamps", {}).get("RESTARTING"))


def workers_of(running: Running) -> list[psutil.Process]:
    """Beam's Python workers."""
    pool = running.processes.named("worker pool")
    return [child for child in pool.children() if is_alive(child)]


def kill(running: Running, name: str) -> None:
    """kill -9 of one of the cluster's processes."""
    running.processes.named(name).kill()
    wait_until(lambda: name not in running.processes.running())


def repair(running: Running) -> None:
    """Has the cluster run no jobs, and all of its processes be there with free slots."""
    while _launchers:
        kill_all(_launchers.pop())
    for worker in workers_of(running):
        with suppress(psutil.NoSuchProcess):
            if worker.status() == psutil.STATUS_STOPPED:
                worker.kill()
    alive = running.processes.running()
    for name in JAVA:
        if name not in alive:
            running.processes.start_again(name)
    for job, state in jobs_of(running).items():
        if state not in ENDED:
            cancel(running, job)
    wait_until(lambda: all(state in ENDED for state in jobs_of(running).values()))
    wait_until(lambda: whole(asked(running, "/overview")))


def whole(overview: dict[str, Any]) -> bool:
    """Whether all TaskManagers are free, and one that was killed isn't counted any more."""
    return overview.get("taskmanagers") == overview.get("slots-available") == WORKERS


_launchers: list[subprocess.Popen[bytes]] = []


@pytest.fixture
def broken(flink: Running) -> Iterator[Running]:
    """A cluster of which the test may kill what it likes."""
    yield flink
    repair(flink)


@contextmanager
def restarting(running: Running) -> Iterator[None]:
    """Within the context the cluster starts jobs again that have failed: the JobManager reads
    its settings when it starts."""
    settings = running.processes.folder / "config.yaml"
    known = settings.read_text()
    settings.write_text(known + "".join(f"{name}: {value}\n" for name, value in AGAIN.items()))
    try:
        start_anew(running)
        yield
    finally:
        settings.write_text(known)
        start_anew(running)


def start_anew(running: Running) -> None:
    """All at once: TaskManagers take their time to find out that there is another JobManager."""
    for name in JAVA:
        running.processes.start_again(name)
    repair(running)


@contextmanager
def held_back(databases: TwoDatabases, table: str) -> Iterator[psycopg.Connection[Row]]:
    """Commits into a table of the target wait, within their transactions, for the end of this
    context or of the connection's transaction."""
    with databases.target.another() as holder:
        holder.autocommit = False
        holder.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
        yield holder
        holder.rollback()


@contextmanager
def unreadable(database: Database, table: str) -> Iterator[None]:
    """Whoever begins to read a table within the context waits for its end.

    The lock itself may wait for the launcher's snapshot; others queue up behind it.
    """
    with database.another() as holder:
        holder.autocommit = False

        def lock() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                holder.execute(f"LOCK TABLE {table}".encode())

        asking = threading.Thread(target=lock, daemon=True)
        asking.start()
        asked_for = f"relation = '{table}'::regclass AND mode = 'AccessExclusiveLock'"
        wait_until(lambda: database.row(f"SELECT count(*) FROM pg_locks WHERE {asked_for}") != (0,))
        try:
            yield
        finally:
            holder.cancel()
            asking.join()
            holder.rollback()


def waiting(database: Database) -> list[int]:
    """The sessions that wait for a lock."""
    return database.values(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )


def frozen(workers: list[psutil.Process]) -> list[psutil.Process]:
    """The workers, after SIGSTOP: they do nothing any more, and their connections stand."""
    for worker in workers:
        worker.send_signal(signal.SIGSTOP)
    return workers


def log_of(databases: TwoDatabases) -> str:
    return (databases.folder / "run.log").read_text()


class Run:
    """A migration that is to be disturbed: its launcher, and its job in the engine."""

    def __init__(
        self,
        databases: TwoDatabases,
        cluster: Running,
        flags: Sequence[str] = (),
        header: str = SMALL,
    ) -> None:
        self._log = databases.folder / "run.log"
        self._begin = self._log.stat().st_size if self._log.exists() else 0
        self._cluster = cluster
        self._earlier_jobs = jobs_of(cluster)
        path = databases.write(SPECIFICATION, header)
        self.launcher = start(databases, path, [*cluster.cluster.flags, *flags])
        _launchers.append(self.launcher)

    def _new_jobs(self) -> list[str]:
        return [job for job in jobs_of(self._cluster) if job not in self._earlier_jobs]

    @cached_property
    def job(self) -> str:
        """Its job's id, to be asked for before another run begins."""
        wait_until(lambda: bool(self._new_jobs()))
        (found,) = self._new_jobs()
        return found

    def told(self) -> str:
        """What this run has printed until now."""
        return self._log.read_bytes()[self._begin :].decode()

    def ends(self, status: ExitStatus) -> str:
        """Waits for the launcher's end; gives what it has printed."""
        wait_until(lambda: self.launcher.poll() is not None)
        assert self.launcher.returncode == status, self.told()
        return self.told()


def in_the_middle(databases: TwoDatabases, cluster: Running, flags: Sequence[str] = ()) -> Run:
    """A run whose first level is done, and whose second is held back at its commits."""
    run = Run(databases, cluster, flags)
    wait_until(lambda: bool(waiting(databases.target)) or run.launcher.poll() is not None)
    assert run.launcher.poll() is None, run.told()
    assert jobs_of(cluster)[run.job] == "RUNNING"
    return run


def assert_as_undisturbed(databases: TwoDatabases, undisturbed: Content) -> None:
    assert content(databases) == undisturbed
    assert_nothing_left(databases)
