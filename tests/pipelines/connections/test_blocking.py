"""Who holds up a run, as the operator is told."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg
import pytest

from pipelines.connections import blocking
from pipelines.connections.blocking import Blockers
from schemas.errors import ErrorCode, Problem
from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.waiting import wait_until
from transforms.postgres.connections import add_session_name, connect

NAME = "transfuse run 3 of moved"


def waits(url: str, statement: str, name: str = NAME) -> threading.Thread:
    """A session, of the run unless it has another name, that waits for a lock."""

    def wait() -> None:
        with connect(add_session_name(url, name)) as waiting:
            waiting.execute(statement.encode())

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def look_until_told(blockers: Blockers, watcher: psycopg.Connection[Row]) -> list[str]:
    found: list[Problem] = []

    def look() -> bool:
        found.extend(blockers.look(watcher))
        return bool(found)

    wait_until(look)
    assert all(problem.code is ErrorCode.SYS_005 for problem in found)
    return [str(problem) for problem in found]


def test_who_holds_a_lock_is_told_once(databases: TwoDatabases) -> None:
    databases.target.run("CREATE TABLE ledger AS SELECT 'a name' AS patient")
    url = databases.target.url
    with (
        closing(connect(add_session_name(url, "transfuse run 2 of moved"))) as frozen,
        closing(connect(add_session_name(url, NAME))) as watcher,
    ):
        blockers = Blockers(patience=0.05)
        assert blockers.look(watcher) == []
        frozen.execute("BEGIN; UPDATE ledger SET patient = 'another'")
        waiting = [waits(url, "UPDATE ledger SET patient = 'a third'") for _ in range(2)]
        (told,) = look_until_told(blockers, watcher)
        pid = frozen.info.backend_pid
        assert f"session {pid} ('transfuse run 2 of moved')" in told
        assert f"SELECT pg_terminate_backend({pid})" in told
        assert "(idle in transaction)" in told
        assert "another" not in told
        assert blockers.look(watcher) == []
        frozen.execute("ROLLBACK")
        for thread in waiting:
            thread.join()


def test_who_waits_for_a_moment_or_is_none_of_ours_is_left_alone(databases: TwoDatabases) -> None:
    databases.target.run("CREATE TABLE ledger AS SELECT 1 AS a")
    url = databases.target.url
    with (
        databases.target.another() as holder,
        closing(connect(add_session_name(url, NAME))) as watcher,
        closing(connect(add_session_name(url, "somebody"))) as stranger,
    ):
        holder.execute("BEGIN; LOCK TABLE ledger")
        waiting = waits(url, "DELETE FROM ledger")
        look_until_told(Blockers(patience=0), watcher)
        assert Blockers(patience=60).look(watcher) == []
        assert Blockers(patience=0).look(stranger) == []
        holder.execute("ROLLBACK")
        waiting.join()
        assert Blockers(patience=0).look(watcher) == []


@pytest.mark.slow
def test_a_run_tells_who_holds_it_up(
    databases: TwoDatabases,
    undisturbed: dict[str, list[Row]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocking, "PATIENCE", 0.5)
    prepare(databases)
    with databases.target.another() as frozen:
        frozen.execute("BEGIN; LOCK TABLE visits IN SHARE MODE")

        def let_go() -> None:
            wait_until(lambda: "pg_terminate_backend" in caplog.text)
            frozen.execute("ROLLBACK")

        letting_go = threading.Thread(target=let_go)
        letting_go.start()
        databases.migrate(SPECIFICATION, header=SMALL)
        letting_go.join()
    assert "SYS-005 session" in caplog.text
    assert "('test') of the target" in caplog.text
    assert content(databases) == undisturbed


def test_a_session_for_which_several_wait_is_told_once_with_their_number(
    databases: TwoDatabases,
) -> None:
    databases.target.run("CREATE TABLE ledger AS SELECT 1 AS a")
    url = databases.target.url
    with (
        databases.target.another() as holder,
        closing(connect(add_session_name(url, NAME))) as watcher,
    ):
        holder.execute("BEGIN; LOCK TABLE ledger")
        waiting = [waits(url, "DELETE FROM ledger") for _ in range(3)]
        wait_until(lambda: waiting_for_ledger(databases) == 3)
        (problem,) = Blockers(patience=0).look(watcher)
        holder.execute("ROLLBACK")
        for thread in waiting:
            thread.join()
    assert problem.message.startswith("3 sessions")


def test_what_a_statement_did_before_it_waits_is_no_wait(databases: TwoDatabases) -> None:
    """A statement waits for one lock and then for another: only the second wait counts."""
    databases.target.run("CREATE TABLE ledger AS SELECT 1 AS a")
    url = databases.target.url
    with (
        databases.target.another() as first,
        databases.target.another() as second,
        closing(connect(add_session_name(url, NAME))) as watcher,
    ):
        first.execute("SELECT pg_advisory_lock(1)")
        second.execute("BEGIN; LOCK TABLE ledger")
        waiting = waits(url, "DO $$ BEGIN PERFORM pg_advisory_lock(1); DELETE FROM ledger; END $$")
        wait_until(lambda: seconds_of_wait(databases)[0] > 0.3)
        first.execute("SELECT pg_advisory_unlock(1)")
        wait_until(lambda: waiting_for_ledger(databases) == 1)

        def is_left_alone() -> bool:
            """Asked with a patience that the statement has exhausted, and its wait hasn't."""
            statement, wait = seconds_of_wait(databases)
            return Blockers(patience=(statement + wait) / 2).look(watcher) == []

        wait_until(is_left_alone, 30)
        second.execute("ROLLBACK")
        waiting.join()


def test_who_holds_up_another_who_holds_up_the_run_is_told(databases: TwoDatabases) -> None:
    databases.target.run("CREATE TABLE ledger AS SELECT 1 AS a")
    url = databases.target.url
    with (
        closing(connect(add_session_name(url, "idle"))) as idle,
        closing(connect(add_session_name(url, NAME))) as watcher,
    ):
        idle.execute("BEGIN; TABLE ledger")
        pid = idle.info.backend_pid
        altering = waits(url, "ALTER TABLE ledger ADD b int", "somebody")
        wait_until(lambda: waiting_for_ledger(databases) == 1)
        waiting = waits(url, "DELETE FROM ledger")
        wait_until(lambda: waiting_for_ledger(databases) == 2)
        (told,) = look_until_told(Blockers(patience=0), watcher)
        idle.execute("ROLLBACK")
        altering.join()
        waiting.join()
    assert f"session {pid} ('idle')" in told


def seconds_of_wait(databases: TwoDatabases) -> tuple[float, float]:
    """How long the only statement that waits has run, and how long it has waited; 0 for none."""
    rows = databases.target.rows(
        "SELECT extract(epoch FROM statement_timestamp() - query_start)::float8,"
        " extract(epoch FROM statement_timestamp() - waitstart)::float8"
        " FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE NOT granted AND waitstart < now()"
    )
    return rows[0] if rows else (0.0, 0.0)


def waiting_for_ledger(databases: TwoDatabases) -> int:
    (count,) = databases.target.row(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'ledger'::regclass"
    )
    return int(count)
