"""A row that is larger than the memory that the process gets: SYS-001, and nothing is lost."""

from __future__ import annotations

import resource
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from schemas.errors import ExitStatus
from tests.faults.runs import LONGEST, start
from tests.pipelines.two_databases import HEADER, TwoDatabases

LOAD = "tables: {notes: {from: notes, key: [id], copy: [id, note]}}\n"

LARGE = 300_000_000
"""Characters of one note: libpq doubles its buffer until it fits, and then copies it."""


WORKERS = ("--direct_num_workers=2",)
"""As many whatever the number of partitions, since each takes memory."""


def used_by_a_run(databases: TwoDatabases, path: Path) -> int:
    """The bytes of data that a run asks the system for at most."""
    run = start(databases, path, WORKERS)
    most, process = 0, psutil.Process(run.pid)
    while run.poll() is None:
        if process.status() != psutil.STATUS_ZOMBIE:
            most = max(most, process.memory_info().data)
        with suppress(subprocess.TimeoutExpired):
            run.wait(timeout=0.02)
    assert run.returncode == ExitStatus.COMPLETE
    return most


@pytest.mark.slow
def test_a_row_that_is_larger_than_the_memory(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE notes (id int PRIMARY KEY, note text);"
        "INSERT INTO notes SELECT i, 'note ' || i FROM generate_series(1, 2000) i"
    )
    databases.target.run("CREATE TABLE notes (id int PRIMARY KEY, note text)")
    header = HEADER.replace("limits: {", "limits: {memory: 8MB, ")
    path = databases.write(LOAD, header)
    usual = used_by_a_run(databases, path)
    databases.target.run("DROP SCHEMA migration CASCADE; TRUNCATE notes")
    databases.legacy.run(f"UPDATE notes SET note = repeat('x', {LARGE}) WHERE id = 1000")

    run = start(databases, path, WORKERS, limits={resource.RLIMIT_DATA: usual + LARGE * 3 // 2})
    status = run.wait(timeout=LONGEST)
    told = (databases.folder / "run.log").read_text()
    assert status == ExitStatus.INCOMPLETE, told
    assert "SYS-001 table notes, " in told
    assert "no memory left" in told
    states = "SELECT DISTINCT state FROM migration.migration_partitions ORDER BY state"
    assert databases.target.values(states) == ["done", "failed"]

    assert start(databases, path, WORKERS).wait(timeout=LONGEST) == ExitStatus.COMPLETE
    query = "SELECT id, length(note), md5(note) FROM notes"
    databases.assert_same_rows(query, query)
