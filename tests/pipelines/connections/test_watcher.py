"""A connection by which a run is looked at: it is made anew after it was lost."""

from __future__ import annotations

from contextlib import closing

import psycopg

from pipelines.connections.watcher import Watcher
from tests.support.databases.two_databases import Row, TwoDatabases


def session(connection: psycopg.Connection[Row]) -> Row | None:
    return connection.execute(
        "SELECT pg_backend_pid(), current_setting('application_name')"
    ).fetchone()


def test_a_watcher_whose_session_was_ended_looks_again(databases: TwoDatabases) -> None:
    with closing(Watcher(databases.target.url, "transfuse run 1 of moved")) as watcher:
        first = watcher.ask(session)
        assert first is not None
        assert first[1] == "transfuse run 1 of moved"
        databases.target.run(f"SELECT pg_terminate_backend({first[0]}, 60000)")
        assert watcher.ask(session) is None
        second = watcher.ask(session)
        assert second is not None
        assert second[0] != first[0]


def test_a_server_that_is_not_there_is_nothing_to_see() -> None:
    with closing(Watcher("postgresql://nobody@127.0.0.1:1/none", "watcher")) as watcher:
        assert watcher.ask(session) is None
