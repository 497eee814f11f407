"""What becomes of a command whose output can't be read or shown: it does its work all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.pipelines.two_databases import HEADER, TwoDatabases

PROJECT = Path(__file__).resolve().parents[2]

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
