"""Too little memory for a row, or for a run at all: SYS-001, and nothing is lost or stuck."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from schemas.errors import ExitStatus
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.project import PROJECT
from tests.support.runs.child_runs import LONGEST, start

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


@pytest.mark.slow
def test_too_little_address_space(databases: TwoDatabases) -> None:
    """Whatever it is that fails, a library that can't be loaded or a thread that can't be started,
    the command says how much memory it needs, and ends."""
    databases.legacy.run("CREATE TABLE notes (id int PRIMARY KEY, note text)")
    databases.target.run("CREATE TABLE notes (id int PRIMARY KEY, note text)")
    path = databases.write(LOAD)
    for verb, gigabytes in (
        ("migrate", 0.3),
        ("migrate", 1.2),
        ("migrate", 2.0),
        ("migrate", 2.4),
        ("migrate", 3.0),
        ("plan", 0.9),
        ("plan", 1.5),
        ("plan", 2.3),
    ):
        log = databases.folder / f"{verb}{gigabytes}.log"
        limits = {resource.RLIMIT_AS: int(gigabytes * 2**30)}
        flags = WORKERS if verb == "migrate" else ()
        run = start(databases, path, flags, log, limits, (verb,))
        status, text = run.wait(timeout=60), log.read_text()
        assert "SYS-003" not in text
        assert "Traceback" not in text
        assert status == ExitStatus.INCOMPLETE, text
        assert "SYS-001" in text
        if verb == "plan" and gigabytes > 1:
            assert "reading rows needs 3.1 GB of address space" in text
            assert "ulimit -v 3040870" in text
        else:
            assert "2 workers need 3.9 GB of address space" in text
            assert "ulimit -v 3774873" in text
    assert start(databases, path, WORKERS).wait(timeout=LONGEST) == ExitStatus.COMPLETE
    # A complete job needs none of it.
    limits = {resource.RLIMIT_AS: 2 * 2**30}
    assert start(databases, path, limits=limits).wait(timeout=60) == ExitStatus.COMPLETE


DEAF = """
import ctypes, signal, time
from pipelines.terminal import signals
signals.ENDS_WITHIN = 1.0
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signals.interrupt)
signals.answer_signals_at_once()
{wait}
"""

IN_A_LIBRARY = """
mutex = ctypes.create_string_buffer(64)
libc = ctypes.CDLL(None)
libc.pthread_mutex_lock(mutex)
print("ready", flush=True)
libc.pthread_mutex_lock(mutex)
"""

WHILE_CLEANING_UP = """
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    time.sleep(60)
"""


@pytest.mark.parametrize("wait", [IN_A_LIBRARY, WHILE_CLEANING_UP], ids=["library", "cleanup"])
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_no_process_ignores_a_signal(wait: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DEAF.format(wait=wait)], cwd=PROJECT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        try:
            # Python ends itself by SIGINT where the signal comes just before the wait begins.
            assert process.wait(timeout=10) in (ExitStatus.STOPPED, -signal.SIGINT)
        finally:
            process.kill()
