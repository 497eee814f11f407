"""URLs that can be read in two ways, or not at all: refused before anything is connected."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.cli.main import main
from schemas.specification.database_url import find_url_problem, url_place
from schemas.specification.stored_text import text_without_passwords
from tests.support.databases.two_databases import TwoDatabases

Capture = pytest.CaptureFixture[str]

SPECIFICATION = """
job: urls
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
tables:
  people: {from: people, copy: [id]}
"""

PARTS = ("Se", "cret1", "w0rd", "geheim")
"""Pieces of the passwords below, of which none may be printed."""

AMBIGUOUS = (
    "postgresql://mover:Se/cret1@{at}/db",
    "postgresql://mover:Se@cret1@{at}/db",
    "postgresql://mover:Se@cret1/w0rd@{at}/db",
    "postgresql://mover:Se/cret1@w0rd@{at}/db",
    "postgresql://mover:Se?cret1@{at}/db",
    "postgresql://mover:Se?application_name=cret1@{at}/db",
    "postgresql://mover:5432/cret1@{at}/db",
    "postgresql://mover:Se%cret1@{at}/db",
    "postgresql://mover:Se cret1@{at}/db",
    "postgresql://mover:Se\tcret1@{at}/db",
    "postgresql://mover:Se@cret1\\w0rd/db",
    "postgresql://mover:Se@cret1:w0rd@{at}/db",
    "postgresql://mover:Se/cret1",
    "postgresql://mover:Se@{at}/geheim/db",
    "postgresql://mover@{at}/db?password=Se&cret1",
    "postgresql://mover@{at}/db?password=Se&cret1=w0rd",
    "postgresql://mover@{at}/db?password=Se=cret1",
    "postgresql://mover:%ff%feSe@{at}/db",
    "postgresql://mover:Se%00cret1@{at}/db",
)

UNREADABLE = {
    "postgresql://postgres@{at}/db\n": "ends with a line break",
    "postgresql://postgres@{at}/db\r": "ends with a line break",
    "postgresql://postgres@{at}/db\r\n": "ends with a line break",
    " postgresql://postgres@{at}/db": "begins or ends with a blank",
    "'postgresql://postgres@{at}/db'": "quotation mark",
    "": "is empty",
    "postgresql://postgres@127.0.0.1:xx/db": "port is not a number",
    "postgresql://postgres@127.0.0.1:99999/db": "port is not a number",
    "postgresql://postgres@127.0.0.1:0/db": "port is not a number",
    "postgresql://postgres@127.0.0.1:-1/db": "port is not a number",
    "postgresql://postgres@h1:1,h2:x/db": "port is not a number",
    "postgresql://postgres@/db?host=127.0.0.1&port=xx": "port is not a number",
    "postgresql://postgres@{at}/db?currentSchema=legacy": "-> write options=-csearch_path%3DSCHEMA",
    "postgresql://postgres@{at}/db?ssl_mode=require": "-> write sslmode=require",
    "postgresql://postgres@{at}/db?sslmode=requird": "-> one of: disable, allow, prefer, require",
    "postgresql://postgres@{at}/db?target_session_attrs=master": "-> one of: any, read-write",
    "postgresql://postgres@{at}/db?connect_timeout=5s": "connect_timeout is not a whole number",
    "postgresql://postgres@{at}/db?pgbouncer=true": "-> leave it out",
    "postgresql://postgres@{at}/db?colour=green": "a parameter after its '?'",
    "jdbc:postgresql://{at}/db": "'jdbc:'",
    "postgresql+psycopg2://postgres@{at}/db": "'+DRIVER'",
    "mysql://root@{at}/db": "not the URL of a PostgreSQL database",
    "host=127.0.0.1 dbname=db": "not the URL of a PostgreSQL database",
}

RIGHT = {
    "postgresql://mover:Se%2Fcret1%40%25@h.example:5433/db": "h.example:5433/db",
    "postgresql://mover:a:b,c#$'\"!@h/db": "h:5432/db",
    "postgresql:///db?host=/run/postgresql": "/run/postgresql:5432/db",
    "postgres://%2Frun%2Fpostgresql/db": "/run/postgresql:5432/db",
    "postgresql://postgres@[::1]:5433/db": "::1:5433/db",
    "postgresql://h1:1,h2:2/db?load_balance_hosts=random": "h1:1,h2:2/db",
    "postgresql://postgres@h/db?password=a@b/c": "h:5432/db",
    "postgresql://h/db?options=-c%20statement_timeout%3D5s": "h:5432/db",
    "postgresql:///?service=ward": "service ward",
}


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A place that must not be connected to, and what came in there."""
    heard: list[bytes] = []

    def listen(server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                heard.append(client.recv(1000))

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=listen, args=(server,), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", heard


def refused(url: str, other: str, folder: Path, capsys: Capture) -> str:
    """What is printed where a source has a URL, and then a target; both are refused at once."""
    path = folder / "urls.yaml"
    path.write_text(SPECIFICATION)
    told = ""
    begun = time.monotonic()
    for legacy, target in ((url, other), (other, url)):
        given = ["plan", str(path), "--var", f"LEGACY_URL={legacy}", f"--var=TARGET_URL={target}"]
        assert main(given) == 2, url
        printed = capsys.readouterr()
        told += printed.out + printed.err
    assert told.count("SYS-004") == 2
    assert told.count(".url: ") == 2
    assert time.monotonic() - begun < 20
    return told


def test_an_ambiguous_url_is_refused_and_not_printed(
    listener: tuple[str, list[bytes]], tmp_path: Path, capsys: Capture
) -> None:
    at, heard = listener
    for written in AMBIGUOUS:
        url = written.format(at=at)
        assert url_place(url) == "the database", url
        told = refused(url, f"postgresql://postgres@{at}/db", tmp_path, capsys)
        assert not [part for part in PARTS if part in told.replace("DATABASE", "")], told
        assert "percent-encode" in told or "NAME=VALUE" in told, told
    assert heard == []


def test_a_url_that_libpq_cannot_read_is_refused_with_the_way_to_write_it(
    listener: tuple[str, list[bytes]], tmp_path: Path, capsys: Capture
) -> None:
    at, heard = listener
    for written, expected in UNREADABLE.items():
        told = refused(written.format(at=at), f"postgresql://u@{at}/db", tmp_path, capsys)
        assert expected in " ".join(told.split()), told
    assert heard == []


@pytest.mark.parametrize("url", RIGHT)
def test_a_url_with_one_reading_is_taken(url: str) -> None:
    assert find_url_problem(url) is None
    assert url_place(url) == RIGHT[url]


def test_a_name_that_leads_nowhere_is_not_looked_up_for_long(
    databases: TwoDatabases, capsys: Capture
) -> None:
    path = str(databases.write("tables: {people: {from: people, copy: [id]}}\n"))
    header = databases.folder / "specification.yaml"
    header.write_text(header.read_text().replace("attempts: 1, delay: 10ms", "attempts: 3"))
    begun = time.monotonic()
    variables = [
        "--var=LEGACY_URL=postgresql://mover:geheim@no-such-host.invalid/db",
        f"--var=TARGET_URL={databases.target.url}",
    ]
    assert main(["plan", path, *variables]) == 3
    assert time.monotonic() - begun < 8
    told = capsys.readouterr().err
    assert "CONN-004 no-such-host.invalid:5432/db: there is no such host" in told
    assert "geheim" not in told


def test_the_stored_text_has_no_password() -> None:
    text = """
# source: {url: postgresql://old:geheim@h/db}
x-url: &u "postgresql://mover:ge\\
  heim%40@h/db"
job: j
source: {url: *u}
sources:
  a: {url: 'postgresql://mover@h/db?password=geheim&sslpassword=geheim'}
  b: {url: "postgresql://mover:${PASSWORD}@h/${NAME}?password=${PASSWORD}"}
target: {url: "${TARGET_URL}"}
"""
    stored = text_without_passwords(text)
    assert "heim" not in stored
    assert "mover:***@h/db" in stored
    assert "password=***&sslpassword=***'" in stored
    assert '"postgresql://mover:${PASSWORD}@h/${NAME}?password=${PASSWORD}"' in stored
    assert '"${TARGET_URL}"' in stored


def test_the_stored_text_has_no_token_of_a_channel() -> None:
    text = """
job: j
# notify: [{to: discord://4711/geheim}]
notify:
  - {to: "discord://4711/geheim", severity: low}
  - to: slack://geheim/b/c
  - {to: "${OPS_WEBHOOK}"}
  - {command: [page, --token, geheim]}
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}"}
"""
    stored = text_without_passwords(text)
    assert "geheim" not in stored
    assert '{to: "${OPS_WEBHOOK}"}' in stored
    assert "severity: low" in stored
    assert "command: [page," in stored
