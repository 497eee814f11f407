"""Each reason for which there is no connection has its code, and words of its own."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.postgres.connections import connect

PASSWORD = "only-for-wards"


class Case(NamedTuple):
    """A statement that makes the failure, what of the URL is other, and what is to be told."""

    id: str
    code: ErrorCode
    told: str
    made_by: str = ""
    url: dict[str, str] = {}


CASES = [
    Case("wrong password", ErrorCode.CONN_002, "role and password", url={"password": "other"}),
    Case("no password", ErrorCode.CONN_002, "role and password", url={"password": ""}),
    Case(
        "password expired",
        ErrorCode.CONN_002,
        "role and password",
        "ALTER ROLE timeout_ssl VALID UNTIL '2020-01-01'",
    ),
    Case("no such role", ErrorCode.CONN_002, "no such role", url={"user": "tls timeout"}),
    Case("no login", ErrorCode.CONN_002, "may not log in", "ALTER ROLE timeout_ssl NOLOGIN"),
    Case("no such database", ErrorCode.CONN_002, "no such database", url={"dbname": "ssl crl"}),
    Case(
        "may not connect",
        ErrorCode.CONN_002,
        "may not connect",
        "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
    ),
    Case("turned away", ErrorCode.CONN_002, "pg_hba.conf", url={"user": "turned_away"}),
    Case(
        "role exhausted",
        ErrorCode.CONN_005,
        "the role or the database",
        "ALTER ROLE timeout_ssl CONNECTION LIMIT 0",
    ),
    Case(
        "database exhausted",
        ErrorCode.CONN_005,
        "the role or the database",
        "ALTER DATABASE {database} CONNECTION LIMIT 0",
    ),
    Case("no TLS", ErrorCode.CONN_003, "has no TLS", url={"sslmode": "require"}),
    Case("no socket", ErrorCode.CONN_004, "at the socket", url={"host": "/nonexistent"}),
    Case("no listener", ErrorCode.CONN_004, "nothing listens", url={"host": "127.0.0.1"}),
]


@pytest.fixture(scope="module")
def guarded(server: str) -> Iterator[str]:
    """The server, which lets one role in with a password and turns another away."""
    with psycopg.connect(server, autocommit=True) as connection:
        (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        with open(file, encoding="utf-8") as stream:
            known = stream.read()
        rules = "local all timeout_ssl scram-sha-256\nlocal all turned_away reject\n"
        connection.execute(
            f"CREATE ROLE timeout_ssl LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE turned_away LOGIN"
        )
        try:
            _rewrite(file, rules + known, connection)
            yield server
        finally:
            _rewrite(file, known, connection)
            connection.execute("DROP ROLE timeout_ssl, turned_away")


def _rewrite(file: str, text: str, connection: psycopg.Connection) -> None:
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(text)
    connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def ward(guarded: str, database: str) -> Iterator[str]:
    """A URL of that role for an empty database; afterwards the role may do what it might before."""
    yield make_conninfo(database, user="timeout_ssl", password=PASSWORD)
    with psycopg.connect(guarded, autocommit=True) as connection:
        connection.execute(
            "ALTER ROLE timeout_ssl LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity'"
        )


def problem_of(url: str) -> Problem:
    with pytest.raises(TransfuseError) as raised:
        connect(url)
    assert raised.value.status is ExitStatus.INCOMPLETE
    (problem,) = raised.value.problems
    return problem


@pytest.fixture
def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_failure_is_told_apart(
    ward: str, guarded: str, closed_port: int, speaking: Callable[[bytes], int], case: Case
) -> None:
    connect(ward).close()
    other = dict(case.url)
    if "sslmode" in other:
        other |= {"host": "127.0.0.1", "port": str(speaking(b""))}
    elif other.get("host") == "127.0.0.1":
        other["port"] = str(closed_port)
    with psycopg.connect(guarded, autocommit=True) as connection:
        database = conninfo_to_dict(ward)["dbname"]
        connection.execute(case.made_by.format(database=database).encode())
    problem = problem_of(make_conninfo(ward, **other))
    assert problem.code is case.code
    assert case.told in problem.message
    assert PASSWORD not in str(problem)
    assert "timeout_ssl" not in str(problem)


def fill(url: str, stack: ExitStack) -> None:
    while True:
        stack.enter_context(psycopg.connect(url))


def test_a_server_that_is_full(ward: str, guarded: str) -> None:
    with ExitStack() as stack:
        for url in (ward, guarded):
            with pytest.raises(psycopg.OperationalError):
                fill(url, stack)
            assert problem_of(url).code is ErrorCode.CONN_005


GERMAN = "Passwort-Authentifizierung für Benutzer »station« fehlgeschlagen"


@pytest.fixture
def speaking() -> Iterator[Callable[[bytes], int]]:
    """A function that gives the port of a server that asks for a password and refuses it.

    It has no TLS, and says why it refuses in the words that the function is given.
    """
    with ExitStack() as stack:

        def start(words: bytes) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=_refuse, args=(listener, words), daemon=True).start()
            port: int = listener.getsockname()[1]
            return port

        yield start


def _refuse(listener: socket.socket, words: bytes) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            # PostgreSQL's protocol, version 3: requests for encryption, then the start-up.
            while (request := client.recv(1024))[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
                client.sendall(b"N")
            if request:
                client.sendall(b"R" + struct.pack("!ii", 8, 3))
            if client.recv(1024):
                text = b"SFATAL\0C28P01\0M" + words + b"\0\0"
                client.sendall(b"E" + struct.pack("!i", len(text) + 4) + text)


def test_a_server_that_speaks_another_language(speaking: Callable[[bytes], int]) -> None:
    port = speaking(GERMAN.encode())
    problem = problem_of(f"postgresql://station:{PASSWORD}@127.0.0.1:{port}/klinik")
    assert (problem.code, problem.where) == (ErrorCode.CONN_002, f"127.0.0.1:{port}/klinik")
    assert "refuses the role, its password" in problem.message


@pytest.mark.parametrize(
    "content",
    [None, "[other]\nhost=127.0.0.1\n", "[ward]\nhost\n"],
    ids=["no file", "another service", "no value"],
)
def test_a_service_that_is_not_defined(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pg_service.conf"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path))
    with pytest.raises(TransfuseError) as raised:
        connect("postgresql:///?service=ward")
    (problem,) = raised.value.problems
    assert problem.code is ErrorCode.CONN_002
    assert problem.where == "service ward"
    assert "service file" in problem.message
