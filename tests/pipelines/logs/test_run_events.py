"""The events of a run that is stopped, that breaks its budget, and that waits for a lock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.connections import blocking
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.support.jobs.small_hospital import run
from tests.support.project import PROJECT
from tests.support.runs.held_runs import gate, someone_waits, wait_until
from tests.support.waiting import wait_until as wait_for


def lines_of(path: Path) -> list[str]:
    """The lines without their times."""
    return [line[24:] for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_a_run_that_is_stopped_by_a_command_with_the_same_folder(databases: TwoDatabases) -> None:
    prepare(databases)
    path = databases.write(SPECIFICATION, SMALL)
    folder = databases.folder / "log"
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    command = [sys.executable, "-m", "pipelines", "migrate", str(path), "--log-dir", str(folder)]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=os.environ | databases.variables,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until(process, lambda: someone_waits(databases))
            assert run(databases, "stop", "SPEC", "--log-dir", str(folder)) == 0
            keeper.close()
            assert process.wait(timeout=60) == 4
        finally:
            process.kill()
    lines = lines_of(folder / "application.log")
    begun = [re.search(r"'\w+' begins", line) for line in lines]
    assert [match.group() for match in begun if match] == ["'migrate' begins", "'stop' begins"]
    assert "job=moved INFO on request the job stops" in lines
    assert any("run ended: the job is stopped, exit status 4" in line for line in lines)
    assert lines[-1] == "job=moved INFO 'migrate' ends: exit status 4"


@pytest.mark.slow
def test_a_budget_that_breaks(databases: TwoDatabases) -> None:
    prepare(databases)
    header = SMALL + "errors: {budget: {rejected: 3}}\n"
    databases.write(SPECIFICATION, header)
    folder = databases.folder / "log"
    assert run(databases, "migrate", "SPEC", "--log-dir", str(folder)) == 4
    broken = [line for line in lines_of(folder / "application.log") if "DATA-005" in line]
    assert any(
        re.match(r"job=moved run=1 load=\w+ INFO DATA-005 error budget broken: \d+ of", line)
        for line in broken
    )
    (reported,) = lines_of(folder / "error.log")
    assert "ERROR DATA-005 the error budget is broken" in reported


@pytest.mark.slow
def test_a_wait_for_a_lock(databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "PATIENCE", 0.2)
    monkeypatch.setattr(blocking, "LOOK_INTERVAL", 0.1)
    databases.legacy.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    databases.target.run("CREATE TABLE t (id int PRIMARY KEY)")
    databases.write("tables: {t: {from: t, key: [id], copy: [id]}}", HEADER)
    log = databases.folder / "application.log"
    keeper = gate(databases, "t", "INSERT", "true")
    pid = keeper.info.backend_pid

    def is_reported() -> bool:
        return log.exists() and f"session {pid} " in log.read_text()

    def open_gate() -> None:
        wait_for(is_reported, 60)
        keeper.close()

    opener = threading.Thread(target=open_gate)
    opener.start()
    assert run(databases, "migrate", "SPEC", "--log-dir", str(databases.folder)) == 0
    opener.join()
    (line,) = [line for line in lines_of(log) if "SYS-005" in line]
    assert f"where=\"session {pid} ('test') of the target\" WARNING SYS-005 1 session" in line
    assert f"pg_terminate_backend({pid})" in line
