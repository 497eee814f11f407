"""``status``: what the ledger says, whatever state the job is in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from pipelines.ledger.job_ledger import JobLedger
from pipelines.watch import status
from schemas.specification.reading import read_specification
from schemas.summary import State, Summary
from tests.support.databases.two_databases import TwoDatabases, two_databases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def migrated(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    with two_databases(server, tmp_path_factory.mktemp("status")) as databases:
        fill(databases)
        databases.migrate(TABLES)
        yield databases


@pytest.fixture
def hospital(migrated: TwoDatabases) -> Iterator[TwoDatabases]:
    """A complete job; a test may change what its tables say."""
    yield migrated
    migrated.target.run(
        "UPDATE migration.migration_jobs SET state = 'complete', wanted = 'run';"
        "UPDATE migration.migration_partitions SET state = 'done', error_code = NULL, error = NULL"
    )


@pytest.fixture
def running(hospital: TwoDatabases) -> Iterator[psycopg.Connection]:
    """A job that a process holds: this one, by that connection."""
    hospital.target.run("UPDATE migration.migration_jobs SET state = 'running'")
    specification = read_specification(hospital.folder / "specification.yaml", hospital.variables)
    with (
        psycopg.connect(hospital.target.url, autocommit=True) as connection,
        JobLedger(connection, specification).lock.hold(),
    ):
        yield connection


@pytest.mark.parametrize(
    ("is_held", "state", "ended"),
    [
        (True, "running", False),
        (True, "complete", False),
        # A paused run holds no connection, and so not the job.
        (False, "paused", False),
        (False, "complete", True),
        (False, "incomplete", True),
        (False, "stopped", True),
    ],
)
def test_a_job_has_ended_if_nothing_changes_by_itself(
    is_held: bool, state: State, ended: bool
) -> None:
    summary = Summary(job="job", state=state, seconds=1.0, tables={})
    assert status.JobStatus(summary, is_held, True, {}, ()).has_ended is ended


def test_a_job_that_never_ran(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    databases.write(TABLES)
    (problem,) = run_json(databases, capsys, ["status", "SPEC"], 2)["problems"]
    assert (problem["code"], problem["remedy"]) == (
        "USER-001",
        "start it with 'migrate'; jobs there are: none",
    )
    assert databases.target.rows("SELECT FROM pg_namespace WHERE nspname = 'migration'") == []


def test_the_lock_of_a_job_of_the_same_name_in_another_database(
    hospital: TwoDatabases, capsys: Capture
) -> None:
    specification = read_specification(hospital.folder / "specification.yaml", hospital.variables)
    hospital.target.run("UPDATE migration.migration_jobs SET state = 'running'")
    with hospital.legacy.another() as other, JobLedger(other, specification).lock.hold():
        assert run_json(hospital, capsys, ["status", "SPEC"])["state"] == "incomplete"


def test_another_job_of_the_same_control_tables(hospital: TwoDatabases, capsys: Capture) -> None:
    assert run(hospital, "status", "SPEC", "--job", "move") == 2
    printed = capsys.readouterr().err
    assert "there is no job 'move' in the target" in printed
    assert "did you mean --job moved?" in printed


def test_the_summary_is_that_of_migrate(hospital: TwoDatabases, capsys: Capture) -> None:
    document = run_json(hospital, capsys, ["status", "SPEC"])
    assert document["state"] == "complete"
    summary = run_json(hospital, capsys, ["migrate", "SPEC"])
    assert summary == {name: document[name] for name in summary}


@pytest.mark.parametrize("verb", ["status", "migrate"])
def test_the_promised_keys(hospital: TwoDatabases, capsys: Capture, verb: str) -> None:
    document = run_json(hospital, capsys, [verb, "SPEC"])
    totals = ["violations", "warnings", "problems"]
    more = ["alerts", "metrics", "runs"] if verb == "status" else []
    assert list(document) == ["job", "state", "seconds", "tables", *totals, *more]
    counts = ("read", "empty", "candidates", "accepted", "rejected", "skipped", "written")
    parts = ("expanded", "placeholders", "partitions", "partitions_done", "partitions_failed")
    for load in document["tables"].values():
        assert list(load) == ["into", *counts, *parts, "skipped_by"]


def test_the_summary_as_tables(hospital: TwoDatabases, capsys: Capture) -> None:
    assert run(hospital, "status", "SPEC") == 0
    printed = capsys.readouterr().out
    assert "moved: complete" in printed
    assert "6 of 6" in printed
    assert "DATA-002" in printed


def test_why_partitions_failed(hospital: TwoDatabases, capsys: Capture) -> None:
    hospital.target.run(
        "UPDATE migration.migration_partitions SET state = 'failed', error_code = 'CONN-004',"
        " error = 'the server went away' WHERE load = 'visits';"
        "UPDATE migration.migration_jobs SET state = 'incomplete'"
    )
    capsys.readouterr()
    assert run(hospital, "status", "SPEC", "--json") == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["state"] == "incomplete"
    visits, others = document["tables"].pop("visits"), document["tables"].values()
    assert visits["partitions_failed"] == visits["partitions"] > visits["partitions_done"] == 0
    assert [load["partitions_failed"] for load in others] == [0] * len(others)
    assert "CONN-004 table visits, first partition 000001" in printed.err
    assert "the server went away" in printed.err


def test_a_run_that_was_killed_is_incomplete(hospital: TwoDatabases, capsys: Capture) -> None:
    hospital.target.run("UPDATE migration.migration_jobs SET state = 'running'")
    assert run_json(hospital, capsys, ["status", "SPEC"])["state"] == "incomplete"


def test_a_running_job(
    hospital: TwoDatabases, running: psycopg.Connection, capsys: Capture
) -> None:
    assert run_json(hospital, capsys, ["status", "SPEC"])["state"] == "running"
    running.execute("UPDATE migration.migration_jobs SET wanted = 'pause'")
    assert run_json(hospital, capsys, ["status", "SPEC"])["state"] == "paused"


@pytest.mark.parametrize("as_json", [False, True])
def test_watching_ends_with_the_run(
    hospital: TwoDatabases,
    running: psycopg.Connection,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
) -> None:
    changes = iter(
        [
            "UPDATE migration.migration_jobs SET wanted = 'pause'",
            "UPDATE migration.migration_jobs SET state = 'complete'",
            "SELECT pg_advisory_unlock_all()",
        ]
    )

    def wait() -> None:
        running.execute(next(changes))

    monkeypatch.setattr(status, "wait", wait)
    capsys.readouterr()
    assert run(hospital, "status", "SPEC", "--watch", *(["--json"] if as_json else [])) == 0
    printed = capsys.readouterr().out
    assert next(changes, None) is None
    if as_json:
        assert json.loads(printed)["state"] == "complete"
    else:
        assert "moved: complete" in printed


@pytest.mark.slow
def test_watching_goes_on_while_a_run_is_planned(
    hospital: TwoDatabases,
    running: psycopg.Connection,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = iter(
        [
            "UPDATE migration.migration_jobs SET state = 'running'",
            "UPDATE migration.migration_jobs SET state = 'complete'",
            "SELECT pg_advisory_unlock_all()",
        ]
    )
    monkeypatch.setattr(status, "wait", lambda: running.execute(next(changes)))
    running.execute("UPDATE migration.migration_jobs SET state = 'stopped'")
    assert run(hospital, "status", "SPEC") == 0
    assert "and a process is at work on it" in capsys.readouterr().out
    assert run(hospital, "status", "SPEC", "--watch") == 0
    assert next(changes, None) is None
    assert "at work" not in capsys.readouterr().out


def test_a_first_run_that_is_planned(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    databases.write(TABLES)
    specification = read_specification(databases.folder / "specification.yaml", databases.variables)
    with databases.target.another() as other, JobLedger(other, specification).lock.hold():
        assert run(databases, "status", "SPEC") == 0
    assert "is being planned" in capsys.readouterr().out


def test_who_stops_watching_doesnt_stop_the_job(
    hospital: TwoDatabases,
    running: psycopg.Connection,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "wait", interrupt)
    assert run(hospital, "status", "SPEC", "--watch") == 0
    assert "moved: running" in capsys.readouterr().out
    assert running.execute("SELECT wanted FROM migration.migration_jobs").fetchone() == ("run",)


def test_it_needs_no_right_to_write(
    hospital: TwoDatabases, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    assert run_json(hospital, capsys, ["status", "SPEC"])["state"] == "complete"
