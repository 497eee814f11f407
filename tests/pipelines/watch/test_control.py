"""``pause``, ``resume``, ``stop`` and signals, each on a run in another process."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from pipelines.cli.main import main
from pipelines.ledger.job_ledger import JobLedger
from pipelines.watch.control import ControlEffect, resume
from pipelines.watch.interruption import stop_on_signals
from schemas.errors import ExitStatus
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import HEADER, Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.child_runs import hand_to_another_thread
from tests.support.runs.held_runs import gate, running, someone_waits, wait_until
from tests.support.waiting import wait_until as until
from transforms.postgres.connections import connect


def verb(name: str, databases: TwoDatabases, *flags: str) -> int:
    path = databases.folder / "specification.yaml"
    if not path.exists():
        databases.write(SPECIFICATION, SMALL)
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    return main([name, str(path), *variables, *flags])


def job(databases: TwoDatabases) -> Row:
    return databases.target.row("SELECT state, wanted FROM migration.migration_jobs")


def sessions(databases: TwoDatabases) -> Row:
    """Other sessions than the test's own, in both databases together."""
    return databases.target.row(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IN"
        f" ('{databases.legacy.name}', '{databases.target.name}')"
        " AND application_name <> 'test' AND backend_type = 'client backend'"
    )


@pytest.mark.slow
def test_a_paused_run_waits_without_connections_and_goes_on(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]], capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases)
    databases.legacy.run("SET application_name = 'test'")
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        assert verb("pause", databases) == ExitStatus.COMPLETE
        keeper.close()
        wait_until(process, lambda: job(databases)[0] == "paused")
        done = databases.target.row("SELECT count(*) FROM people")[0]
        assert 2500 <= done < 4000
        # A look at what is wanted takes a moment, and then there is no session again.
        wait_until(process, lambda: sessions(databases) == (0,))
        capsys.readouterr()
        assert verb("status", databases, "--json") == ExitStatus.COMPLETE
        assert json.loads(capsys.readouterr().out)["state"] == "paused"
        assert verb("resume", databases) == ExitStatus.COMPLETE
        assert process.wait(timeout=60) == ExitStatus.COMPLETE
    assert content(databases) == undisturbed


def test_a_stopped_run_ends_and_is_continued(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
) -> None:
    prepare(databases)
    keeper = gate(databases, "visits", "INSERT", "new.id = 3000")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        assert verb("stop", databases) == ExitStatus.COMPLETE
        keeper.close()
        assert process.wait(timeout=60) == ExitStatus.STOPPED
    assert job(databases) == ("stopped", "stop")
    assert databases.migrate(SPECIFICATION, header=SMALL).summary.state == "complete"
    assert content(databases) == undisturbed


@pytest.mark.slow
def test_a_paused_run_can_be_stopped(databases: TwoDatabases) -> None:
    prepare(databases)
    keeper = gate(databases, "people", "INSERT", "new.id = 1")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        assert verb("pause", databases) == ExitStatus.COMPLETE
        keeper.close()
        wait_until(process, lambda: job(databases)[0] == "paused")
        assert verb("stop", databases) == ExitStatus.COMPLETE
        assert process.wait(timeout=60) == ExitStatus.STOPPED
    assert job(databases) == ("stopped", "stop")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_stops_in_order(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]], number: signal.Signals
) -> None:
    prepare(databases)
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        process.send_signal(number)
        wait_until(process, lambda: job(databases)[1] == "stop")
        keeper.close()
        assert process.wait(timeout=60) == ExitStatus.STOPPED
    assert job(databases) == ("stopped", "stop")
    assert databases.migrate(SPECIFICATION, header=SMALL).summary.state == "complete"
    assert content(databases) == undisturbed


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
) -> None:
    prepare(databases)
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        process.send_signal(signal.SIGINT)
        wait_until(process, lambda: job(databases)[1] == "stop")
        process.send_signal(signal.SIGINT)
        # The writer is still held: nothing waits for it.
        assert process.wait(timeout=60) == ExitStatus.STOPPED
        assert someone_waits(databases)
    keeper.close()
    databases.target.run("DROP TRIGGER gate ON people")
    assert databases.migrate(SPECIFICATION, header=SMALL).summary.state == "complete"
    assert content(databases) == undisturbed


@pytest.mark.slow
def test_a_signal_is_answered_whichever_thread_is_handed_it(databases: TwoDatabases) -> None:
    """The main thread waits for a bundle meanwhile, which never ends."""
    prepare(databases)
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        hand_to_another_thread(process.pid, signal.SIGINT)
        wait_until(process, lambda: job(databases)[1] == "stop")
        hand_to_another_thread(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == ExitStatus.STOPPED
        assert someone_waits(databases)
    keeper.close()


@pytest.mark.slow
def test_a_second_interrupt_does_not_wait_for_indexes(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
) -> None:
    prepare(databases)
    databases.target.run("CREATE INDEX by_name ON people (name)")
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    header = SMALL.replace("migration}", "migration, indexes: after_load}")
    with running(databases, header) as process:
        wait_until(process, lambda: someone_waits(databases))
        process.send_signal(signal.SIGINT)
        wait_until(process, lambda: job(databases)[1] == "stop")
        process.send_signal(signal.SIGINT)
        # An index would be built when the writer, who holds the table, is gone.
        assert process.wait(timeout=30) == ExitStatus.STOPPED
        assert process.stderr is not None
        assert b"they are built at its end" in process.stderr.read()
    assert databases.target.values("SELECT name FROM migration.migration_indexes") != []
    keeper.close()
    databases.target.run("DROP TRIGGER gate ON people")
    assert databases.migrate(SPECIFICATION, header=header).summary.state == "complete"
    assert databases.target.values("SELECT name FROM migration.migration_indexes") == []
    assert databases.target.values("SELECT 'by_name'::regclass::text") == ["by_name"]
    assert content(databases) == undisturbed


@pytest.mark.slow
def test_a_run_that_breaks_its_budget_ends(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
) -> None:
    prepare(databases)
    with running(databases, SMALL + "errors: {budget: {rejected: 3}}\n") as process:
        assert process.wait(timeout=60) == ExitStatus.STOPPED
        assert process.stderr is not None
        assert b"table people" in process.stderr.read()
    assert job(databases) == ("stopped", "stop")
    with running(databases, SMALL + "errors: {budget: {rejected: 50%}}\n") as process:
        assert process.wait(timeout=60) == ExitStatus.COMPLETE
    assert content(databases) == undisturbed


def test_a_job_whose_launcher_was_killed_is_stopped_for_its_engine(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    load = "tables: {one: {from: one, copy: [id]}}\n"
    databases.legacy.run("CREATE TABLE one (id int)")
    databases.target.run("CREATE TABLE one (id int)")
    databases.migrate(load)
    databases.target.run("UPDATE migration.migration_jobs SET state = 'running'")
    assert verb("stop", databases) == ExitStatus.COMPLETE
    assert "has no launcher any more" in capsys.readouterr().out
    assert job(databases) == ("stopped", "stop")
    assert verb("stop", databases) == ExitStatus.REFUSED


def test_a_job_that_is_asked_to_stop_is_asked_again_where_the_target_is_away(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert threading.current_thread() is threading.main_thread()
    load = "tables: {one: {from: one, copy: [id]}}\n"
    twice = HEADER.replace("attempts: 1", "attempts: 2")
    databases.legacy.run("CREATE TABLE one (id int)")
    databases.target.run("CREATE TABLE one (id int)")
    databases.migrate(load)
    specification = read_specification(databases.write(load, twice), databases.variables)
    urls = iter(["postgresql://127.0.0.1:1/none", specification.target.url])
    monkeypatch.setattr("pipelines.watch.interruption.connect", lambda _: connect(next(urls)))
    with stop_on_signals(specification):
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: job(databases)[1] == "stop")


def test_a_run_that_is_pausing_still_is_not_resumed_before_it_pauses(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = "tables: {one: {from: one, copy: [id]}}\n"
    databases.legacy.run("CREATE TABLE one (id int)")
    databases.target.run("CREATE TABLE one (id int)")
    databases.migrate(load)
    jobs = "migration.migration_jobs"
    databases.target.run(f"UPDATE {jobs} SET state = 'running', wanted = 'pause'")
    seen = []

    def launcher_goes_on(_: float) -> None:
        """The run pauses only once somebody waits for it, and goes on when that is wanted."""
        seen.append(job(databases))
        state = "paused" if seen[-1] == ("running", "pause") else "running"
        databases.target.run(f"UPDATE {jobs} SET state = '{state}'")

    monkeypatch.setattr("pipelines.watch.control.time.sleep", launcher_goes_on)
    specification = read_specification(databases.folder / "specification.yaml", databases.variables)
    with databases.target.another() as holder, JobLedger(holder, specification).lock.hold():
        assert resume(specification).effect is ControlEffect.GOES_ON
    assert seen == [("running", "pause"), ("paused", "run")]


@pytest.mark.parametrize("name", ["pause", "resume", "stop"])
def test_a_job_that_nobody_runs(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    load = "tables: {one: {from: one, copy: [id]}}\n"
    databases.write(load)
    assert verb(name, databases) == ExitStatus.REFUSED
    assert "USER-003" in capsys.readouterr().err
    databases.legacy.run("CREATE TABLE one (id int)")
    databases.target.run("CREATE TABLE one (id int)")
    databases.migrate(load)
    assert verb(name, databases) == ExitStatus.REFUSED
    told = capsys.readouterr().err
    assert "USER-003" in told
    assert "complete" in told
    assert job(databases) == ("complete", "run")
