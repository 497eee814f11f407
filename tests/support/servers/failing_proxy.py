"""A proxy in front of a server, for what networks do to connections."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time

from psycopg.conninfo import conninfo_to_dict


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
