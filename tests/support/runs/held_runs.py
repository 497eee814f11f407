"""Runs in processes of their own, held at a chosen moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION
from tests.support.project import PROJECT

_KEY = 4711
"""The advisory lock that is the gate."""


@contextmanager
def running(databases: TwoDatabases, header: str = SMALL) -> Iterator[subprocess.Popen[bytes]]:
    """The migration in a process of its own, killed at the end of the context."""
    path = databases.write(SPECIFICATION, header)
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines", "migrate", path],
        cwd=PROJECT,
        env=os.environ | databases.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(process: subprocess.Popen[bytes], holds: Callable[[], bool]) -> None:
    """Waits for something that the process does."""
    deadline = time.monotonic() + 60
    while not holds():
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
        assert process.returncode is None, f"ended before: {process.communicate()[1].decode()}"
        assert time.monotonic() < deadline, "it never came to that"


def gate(
    databases: TwoDatabases, table: str, event: str, condition: str
) -> psycopg.Connection[Row]:
    """Makes writers of some rows wait until the connection that is returned is closed."""
    databases.target.run(
        "CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f"  PERFORM pg_advisory_xact_lock_shared({_KEY}); RETURN new; END $$;"
        f"CREATE TRIGGER gate BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition})"
        " EXECUTE FUNCTION gate()"
    )
    keeper = databases.target.another()
    keeper.execute(f"SELECT pg_advisory_lock({_KEY})")
    return keeper


def someone_waits(databases: TwoDatabases) -> bool:
    """Whether a writer stands at the gate. Other locks are waited for in passing."""
    return a_lock_is_awaited(databases, f"locktype = 'advisory' AND objid = {_KEY}")


def a_lock_is_awaited(databases: TwoDatabases, condition: str = "true") -> bool:
    return bool(
        databases.target.row(
            f"SELECT count(*) FROM pg_locks WHERE NOT granted AND {condition} AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )[0]
    )


def kill(process: subprocess.Popen[bytes], databases: TwoDatabases) -> None:
    """Kills the process, and what the server does for it: it would finish its statement."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    databases.target.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while a_lock_is_awaited(databases):
        pass


def with_control_tables(databases: TwoDatabases) -> None:
    """Makes the control tables by running another job."""
    databases.legacy.run("CREATE TABLE one (id int)")
    databases.target.run("CREATE TABLE one (id int)")
    databases.migrate("tables: {one: {from: one, copy: [id]}}\n", job="first")
