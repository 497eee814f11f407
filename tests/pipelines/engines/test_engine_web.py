from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.engines.engine_web import answer_of
from pipelines.engines.flink_rest import cancel_job

ANSWERS = {
    "GET /object": b'{"taskmanagers": 2}',
    "PATCH /object": b'{"status": "cancelling"}',
    "GET /list": b"[2]",
    "GET /page": b"<html>",
    "GET /broken-off": b'{"taskmanagers',
}


class _Engine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = ANSWERS.get(f"{self.command} {self.path}")
        if answer is None:
            self.send_error(503)
            return
        self.send_response(200)
        more = 10 if self.path == "/broken-off" else 0
        self.send_header("Content-Length", str(len(answer) + more))
        self.end_headers()
        self.wfile.write(answer)

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_is_the_object_that_it_holds(web: str) -> None:
    assert answer_of(f"{web}/object") == {"taskmanagers": 2}


def test_it_is_asked_without_a_proxy(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert answer_of(f"{web}/object") == {"taskmanagers": 2}


def test_the_method_is_the_one_given(web: str) -> None:
    assert answer_of(f"{web}/object", "PATCH") == {"status": "cancelling"}


@pytest.mark.parametrize("path", ["/list", "/page", "/broken-off", "/not-yet"])
def test_any_other_answer_says_nothing(web: str, path: str) -> None:
    assert answer_of(f"{web}{path}") == {}


@pytest.mark.parametrize("path", ["", "/list"])
def test_a_job_is_not_said_to_be_cancelled_where_nobody_knows_of_it(web: str, path: str) -> None:
    assert not cancel_job(f"{web}{path}", "a-job")


def test_where_nobody_listens_nothing_is_said() -> None:
    assert answer_of("http://127.0.0.1:1/object") == {}
