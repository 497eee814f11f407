"""Runs in processes of their own that end in every way, and what none of them may leave behind."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.databases.two_databases import Database, TwoDatabases
from tests.support.project import PROJECT

LONGEST = 120.0
"""Seconds within which any run has ended, and whatever it left on a server is gone."""


def start(
    databases: TwoDatabases,
    path: Path,
    flags: Sequence[str] = (),
    log: Path | None = None,
    limits: Mapping[int, int] | None = None,
    verb: Sequence[str] = ("migrate",),
) -> subprocess.Popen[bytes]:
    """Starts a verb in a session of its own, so that all of its processes can be found.

    ``limits`` are what the operating system lets it have, by constants of ``resource``.
    """

    def limit() -> None:
        for what, most in (limits or {}).items():
            resource.setrlimit(what, (most, most))

    with open(log or databases.folder / "run.log", "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines", *verb, path, *flags],
            cwd=PROJECT,
            env=os.environ | databases.variables,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=limit,
        )


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that a run has started."""
    with suppress(psutil.NoSuchProcess):
        return list(psutil.Process(process.pid).children(recursive=True))
    return []


def hand_to_another_thread(pid: int, number: signal.Signals) -> None:
    """Signals a process as the kernel may do it: another thread than the main one is handed it."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "tgkill"):
        pytest.skip("there is no tgkill here")
    others = [thread.id for thread in psutil.Process(pid).threads() if thread.id != pid]
    # The oldest is the one that listens for signals; some end meanwhile.
    assert any(libc.tgkill(pid, thread, number) == 0 for thread in sorted(others, reverse=True))


def kill_all(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


_LEFT = """
SELECT 'session of ' || application_name || ': ' || state || ' ' || left(query, 60)
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
  AND application_name <> 'test'
UNION ALL SELECT 'lock ' || locktype FROM pg_locks
WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (locktype = 'advisory' OR NOT granted)
UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relpersistence = 't'
UNION ALL SELECT 'invalid index ' || indexrelid::regclass FROM pg_index WHERE NOT indisvalid
UNION ALL SELECT 'prepared transaction' FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL SELECT 'replication slot ' || slot_name FROM pg_replication_slots
WHERE database = current_database()
"""


def left_on(database: Database) -> list[str]:
    """What a run has left on the server, beside its rows: sessions, locks, temporary tables."""
    with database.another() as connection:
        return [text for (text,) in connection.execute(_LEFT).fetchall()]


def assert_nothing_left(databases: TwoDatabases) -> None:
    """The server notices a client that died at its next word, so this waits."""
    deadline = time.monotonic() + LONGEST
    for database in (databases.legacy, databases.target):
        while left := left_on(database):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
