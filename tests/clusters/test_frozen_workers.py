"""Beam's Python workers that freeze in the middle of a run, and go on when others have done their
work: they change nothing, and nobody waits for them for ever without a word."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from tests.support.clusters.broken_clusters import (
    WANTED,
    Content,
    Run,
    broken,
    frozen,
    held_back,
    in_the_middle,
    unreadable,
    waiting,
    workers_of,
)
from tests.support.clusters.running_clusters import Running
from tests.support.databases.two_databases import TwoDatabases, impatient
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.child_runs import assert_nothing_left
from tests.support.waiting import is_alive, wait_until

__all__ = ["broken"]

pytestmark = pytest.mark.slow


@pytest.fixture
def thawed() -> Iterator[list[psutil.Process]]:
    """A list of frozen workers, which are ended after the test."""
    workers: list[psutil.Process] = []
    yield workers
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.kill()


def ended_at_once(run: Run, databases: TwoDatabases) -> None:
    """Ends a run as somebody does who presses Ctrl-C twice."""
    run.launcher.send_signal(signal.SIGINT)
    wait_until(lambda: databases.target.row(WANTED) == ("stop",))
    run.launcher.send_signal(signal.SIGINT)
    run.ends(ExitStatus.STOPPED)


def assert_changes_nothing(
    workers: list[psutil.Process], databases: TwoDatabases, undisturbed: Content
) -> None:
    """Workers may go on whose run has been completed without them, and end by themselves."""
    before = content(databases)
    assert before == undisturbed
    for worker in workers:
        worker.send_signal(signal.SIGCONT)
    wait_until(lambda: not any(map(is_alive, workers)))
    # Asking for it has used another number of the sequence.
    assert {**content(databases), "following": []} == {**before, "following": []}
    assert_nothing_left(databases)


def test_a_worker_that_freezes_before_its_transaction(
    databases: TwoDatabases, undisturbed: Content, broken: Running, thawed: list[psutil.Process]
) -> None:
    prepare(databases)
    with held_back(databases, "people") as holder:
        run = in_the_middle(databases, broken)
        with unreadable(databases.legacy, "visits"):
            holder.rollback()
            wait_until(lambda: len(waiting(databases.legacy)) > 1)
            thawed += frozen(workers_of(broken))
            ended_at_once(run, databases)
    databases.migrate(SPECIFICATION, header=SMALL)
    assert_changes_nothing(thawed, databases, undisturbed)


def test_a_worker_that_freezes_within_its_transaction(
    databases: TwoDatabases,
    undisturbed: Content,
    broken: Running,
    thawed: list[psutil.Process],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the middle of a COPY no limit of the server's ends its session, so somebody must."""
    prepare(databases)
    with held_back(databases, "visits"):
        run = in_the_middle(databases, broken)
        thawed += frozen(workers_of(broken))
    ended_at_once(run, databases)
    monkeypatch.setattr("pipelines.connections.blocking.PATIENCE", 0.5)
    with pytest.raises(TransfuseError, match="is still storing") as raised:
        databases.migrate(SPECIFICATION, header=impatient(SMALL, seconds=4))
    assert raised.value.status is ExitStatus.INCOMPLETE
    assert raised.value.problems[0].code is ErrorCode.SYS_005
    holders = re.findall(
        r"SYS-005 session (\d+) \('transfuse migrate run 1 writer of moved'\)", caplog.text
    )
    assert holders
    for pid in holders:
        assert f"SELECT pg_terminate_backend({pid})" in caplog.text
        databases.target.run(f"SELECT pg_terminate_backend({pid})")
    databases.migrate(SPECIFICATION, header=SMALL)
    assert_changes_nothing(thawed, databases, undisturbed)
