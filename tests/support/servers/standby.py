"""A primary of Debian's PostgreSQL and a hot standby of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support.servers.debian_server import debian_server
from tests.support.servers.server_folder import server_folder
from tests.support.waiting import wait_until

PORT = 5433

IMPATIENT = ("max_standby_streaming_delay=200ms", "hot_standby_feedback=off")
"""Reads are canceled soon after the primary has removed what they see."""


@contextmanager
def primary_and_standby() -> Iterator[tuple[str, str] | None]:
    """The URIs of both, at sockets of their own; None where no PostgreSQL of Debian is here."""
    with debian_server() as primary:
        if primary is None:
            yield None
            return
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        user = "postgres" if os.geteuid() == 0 else None
        with server_folder() as folder:
            if user:
                shutil.chown(folder, user)

            def run(program: str, *arguments: str) -> None:
                subprocess.run(
                    [programs / program, *arguments],
                    user=user,
                    cwd=folder,
                    check=True,
                    stdout=subprocess.DEVNULL,
                    timeout=60,
                )

            data = f"{folder}/data"
            host = str(conninfo_to_dict(primary)["host"])
            run("pg_basebackup", "-h", host, "-U", "postgres", "-D", data, "-R", "-c", "fast")
            options = f"-k {folder} -c listen_addresses='' -c port={PORT} -c fsync=off"
            options += "".join(f" -c {setting}" for setting in IMPATIENT)
            run("pg_ctl", "start", "-D", data, "-w", "-l", f"{folder}/log", "-o", options)
            try:
                yield primary, f"postgresql://postgres@/postgres?host={folder}&port={PORT}"
            finally:
                run("pg_ctl", "stop", "-D", data, "-m", "immediate")


def wait_for_standby(primary: str, standby: str) -> None:
    """Waits until the standby has replayed what the primary has written."""
    with psycopg.connect(primary) as connection:
        (position,) = connection.execute("SELECT pg_current_wal_lsn()").fetchone() or (None,)
    with psycopg.connect(standby, autocommit=True) as connection:
        replayed = "SELECT pg_last_wal_replay_lsn() >= %s::text::pg_lsn"
        wait_until(lambda: connection.execute(replayed, [position]).fetchone() == (True,), 60)
