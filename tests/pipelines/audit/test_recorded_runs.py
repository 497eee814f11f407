"""``migration_runs``: who ran what and when, and how it ended."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from pipelines import act_for, migrate, read_specification, status
from pipelines.cli.main import main
from schemas.errors import ExitStatus, TransfuseError
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs import people_and_visits
from tests.support.jobs.small_hospital import TABLES, fill, run_json
from tests.support.runs.held_runs import gate, kill, running, someone_waits, wait_until
from tests.support.runs.replays import Capsys

RUNS = (
    "SELECT number, verb, state, exit_status, error_codes FROM migration.migration_runs ORDER BY id"
)


def runs(databases: TwoDatabases) -> list[tuple[Any, ...]]:
    return databases.target.rows(RUNS)


def test_a_run_is_recorded_with_who_did_it(databases: TwoDatabases, capsys: Capsys) -> None:
    fill(databases)
    databases.write(TABLES)
    run_json(databases, capsys, ["migrate", "SPEC", "--by", "Jane Doe"])
    assert [run[:4] for run in runs(databases)] == [(1, "migrate", "complete", 0)]
    columns = "person, role, host, process, finished_at >= started_at, specification_sha256"
    person, role, host, process, ended, digest = databases.target.row(
        f"SELECT {columns} FROM migration.migration_runs"
    )
    assert (person, role, host, process) == (
        "Jane Doe",
        "postgres",
        os.uname().nodename,
        os.getpid(),
    )
    assert ended
    job = "SELECT specification_sha256 FROM migration.migration_jobs"
    assert digest == databases.target.values(job)[0]


@pytest.mark.slow
def test_a_job_that_is_complete_already_is_no_run(databases: TwoDatabases) -> None:
    fill(databases)
    databases.migrate(TABLES)
    databases.migrate(TABLES)
    assert len(runs(databases)) == 1


@pytest.mark.slow
def test_no_password_is_recorded(databases: TwoDatabases) -> None:
    fill(databases)
    url = databases.target.url.replace("postgres@", "postgres:s3cretword@")
    header = HEADER.replace('"${TARGET_URL}"', f'"{url}"')
    databases.migrate(TABLES, header=header)
    assert "s3cretword" not in str(databases.target.rows("SELECT * FROM migration.migration_runs"))


def test_a_run_that_is_refused_is_recorded_with_its_codes(databases: TwoDatabases) -> None:
    fill(databases)
    databases.migrate(TABLES)
    path = databases.write(TABLES.replace("{from: born,", "{from: nowhere,"))
    with pytest.raises(TransfuseError) as refused:
        migrate(read_specification(path, databases.variables, defer_fields=True))
    codes = sorted({problem.code.value for problem in refused.value.problems})
    assert runs(databases)[1:] == [(None, "migrate", "refused", 2, codes)]


@pytest.mark.slow
def test_a_run_that_was_killed_is_recorded_by_the_next(databases: TwoDatabases) -> None:
    people_and_visits.prepare(databases)
    with (
        gate(databases, "people", "INSERT", "new.id = 2500"),
        running(databases) as process,
    ):
        wait_until(process, lambda: someone_waits(databases))
        assert [run[2] for run in runs(databases)] == ["running"]
        kill(process, databases)
    databases.migrate(people_and_visits.SPECIFICATION, header=people_and_visits.SMALL)
    assert [run[1:4] for run in runs(databases)] == [
        ("migrate", "interrupted", None),
        ("migrate", "complete", 0),
    ]


@pytest.mark.slow
def test_a_run_that_is_interrupted_says_so(databases: TwoDatabases) -> None:
    people_and_visits.prepare(databases)
    with (
        gate(databases, "people", "INSERT", "new.id = 2500") as held,
        running(databases) as process,
    ):
        wait_until(process, lambda: someone_waits(databases))
        process.send_signal(signal.SIGTERM)
        wanted = "SELECT wanted FROM migration.migration_jobs"
        wait_until(process, lambda: databases.target.values(wanted) == ["stop"])
        held.close()
        assert process.wait(60) == ExitStatus.STOPPED
    assert [run[2:4] for run in runs(databases)] == [("stopped", 4)]


def test_status_lists_the_latest_runs(databases: TwoDatabases, capsys: Capsys) -> None:
    fill(databases)
    databases.migrate(TABLES)
    document = run_json(databases, capsys, ["status", "SPEC"])
    (run,) = document["runs"]
    assert (run["number"], run["verb"], run["state"]) == (1, "migrate", "complete")
    path = str(databases.folder / "specification.yaml")
    variables = [f"--var={name}={url}" for name, url in databases.variables.items()]
    assert main(["status", path, *variables]) == 0
    assert "The latest runs" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 101])
def test_a_name_that_is_none_is_refused(databases: TwoDatabases, capsys: Capsys, name: str) -> None:
    databases.write(TABLES)
    document = run_json(databases, capsys, ["status", "SPEC", "--by", name], 2)
    assert [problem["where"] for problem in document["problems"]] == ["--by"]


@pytest.mark.slow
def test_from_python_a_person_is_set_for_all_calls(databases: TwoDatabases) -> None:
    fill(databases)
    path = databases.write(TABLES)
    specification = read_specification(path, databases.variables)
    try:
        act_for("A. Pipeline")
        migrate(specification)
    finally:
        act_for(None)
    assert [run.person for run in status(specification).runs] == ["A. Pipeline"]
