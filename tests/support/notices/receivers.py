"""Receivers of notices on 127.0.0.1: they answer, refuse, fail or hang."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """A webhook that notes what it gets.

    Attributes:
        url: Its Apprise URL.
        bodies: The bodies of the requests.
    """

    def __init__(self, url: str, bodies: list[str]) -> None:
        self.url = url
        self.bodies = bodies


@contextmanager
def receiver(status: int = 200, hangs: bool = False) -> Iterator[Receiver]:
    """A webhook that answers with a status, or not before the context ends."""
    bodies: list[str] = []
    ended = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            bodies.append(self.rfile.read(length).decode())
            if hangs:
                ended.wait()
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Requests aren't printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield Receiver(f"json://127.0.0.1:{server.server_address[1]}/SeCretToken", bodies)
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
