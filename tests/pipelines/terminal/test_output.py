"""What becomes of a command whose output can't be read or shown: it does its work all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import IO

import pytest

from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.project import PROJECT

LOAD = 'tables: {größen: {from: größen, key: [id], copy: [id, "länge"]}}\n'


def start(
    databases: TwoDatabases, verb: str, *flags: str, stdout: int | IO[bytes], encoding: str = "utf8"
) -> subprocess.Popen[bytes]:
    path = databases.write(LOAD, HEADER.replace("job: moved", "job: grün"))
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", *verb.split(), path, *flags],
        cwd=PROJECT,
        env=os.environ | databases.variables | {"PYTHONIOENCODING": encoding},
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(autouse=True)
def sizes(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE größen (id int PRIMARY KEY, länge text); INSERT INTO größen VALUES (1, 'a')"
    )
    databases.target.run("CREATE TABLE größen (id int PRIMARY KEY, länge int NOT NULL)")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=" ".join)
def test_a_reader_that_is_gone(databases: TwoDatabases, flags: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        run = start(databases, "migrate", *flags, stdout=closed)
        told = run.communicate(timeout=60)[1].decode()
    assert run.returncode == 0, told
    assert told.count("USER-004") == 1
    states = databases.target.values("SELECT state FROM migration.migration_jobs")
    assert states == ["complete"]


@pytest.mark.slow
def test_a_terminal_that_lacks_a_character(databases: TwoDatabases) -> None:
    for verb in ("migrate", "status", "rejects list"):
        run = start(databases, verb, stdout=subprocess.PIPE, encoding="ascii")
        printed, told = (text.decode("ascii") for text in run.communicate(timeout=60))
        assert run.returncode == 0, told
        assert "gr\\xf6\\xdfen" in printed
        run = start(databases, verb, "--json", stdout=subprocess.PIPE, encoding="ascii")
        document = json.loads(run.communicate(timeout=60)[0].decode("ascii"))
        assert "größen" in json.dumps(document, ensure_ascii=False)


@pytest.mark.slow
def test_streams_that_are_closed(databases: TwoDatabases) -> None:
    """Stdout alone, both, or a reader of both that goes: the outcome is that of the migration."""
    path = str(databases.write(LOAD, HEADER.replace("job: moved", "job: grün")))
    for job, shell in (
        ("one", '"$@" >&-'),
        ("two", '"$@" >&- 2>&-'),
        ("three", '{ "$@" 2>&1; echo $? >status; } | true; exit $(cat status)'),
        ("four", '"$@" --json <&- >&- 2>&-'),
        ("one", '{ "$@" 2>&1; echo $? >status; } | head -c 1; exit $(cat status)'),
    ):
        databases.target.run("TRUNCATE größen")
        command = [sys.executable, "-m", "pipelines", "migrate", path, f"--job={job}"]
        ended = subprocess.run(
            ["/bin/sh", "-c", f"cd {databases.folder}; {shell}", "sh", *command],
            env=os.environ | databases.variables | {"PYTHONPATH": str(PROJECT)},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, (shell, ended.stderr)
        query = f"SELECT state FROM migration.migration_jobs WHERE job_id = '{job}'"
        assert databases.target.values(query) == ["complete"]
