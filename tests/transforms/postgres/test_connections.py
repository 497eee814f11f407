"""Connections: what a dead network or a frozen session may take, at most."""

from __future__ import annotations

import socket
import time

import psycopg
import pytest

from schemas.errors import ErrorCode, TransfuseError
from transforms.postgres.connections import add_network_limits, add_session_name, connect


def test_a_url_keeps_what_it_says(database: str) -> None:
    url = f"{database}&connect_timeout=7&keepalives_idle=5"
    found = psycopg.conninfo.conninfo_to_dict(add_network_limits(url))
    assert (found["connect_timeout"], found["keepalives_idle"]) == ("7", "5")
    assert found["tcp_user_timeout"] == "90000"


def test_a_session_has_a_name_unless_the_url_says_another(database: str) -> None:
    for url, name in ((database, "ours"), (f"{database}&application_name=theirs", "theirs")):
        with connect(add_session_name(url, "ours")) as connection:
            assert connection.execute("SHOW application_name").fetchone() == (name,)


def test_a_session_has_its_own_timeouts_unless_the_url_sets_one(database: str) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    def shown(url: str) -> list[str]:
        with connect(url) as connection:
            rows = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
        return [row[0] for row in rows if row]

    assert shown(database) == ["0", "1min", "0"]
    with connect(database) as connection:
        for name in names:
            connection.execute(
                f"ALTER DATABASE {connection.info.dbname} SET {name} = '5s'".encode()
            )
    assert shown(database) == ["0", "1min", "0"]
    assert shown(f"{database}&options=-c%20lock_timeout%3D7s") == ["0", "7s", "0"]
    assert shown(f"{database}&options=-c%20statement_timeout%3D6s") == ["6s", "1min", "0"]


def test_a_client_that_is_gone_is_noticed_during_a_statement(database: str) -> None:
    with connect(database) as connection:
        found = connection.execute("SHOW client_connection_check_interval").fetchone()
        assert found == ("10s",)


def test_a_server_that_never_answers_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2"
        begun = time.monotonic()
        with pytest.raises(TransfuseError) as raised:
            connect(url)
    assert time.monotonic() - begun < 20
    assert raised.value.problems[0].code is ErrorCode.CONN_001
