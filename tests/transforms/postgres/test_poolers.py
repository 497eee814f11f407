"""Connection poolers: refused where sessions are shared, transparent where they aren't."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pipelines.cli.main import main
from tests.support.servers.debian_server import debian_server
from tests.support.servers.pooler import pooler

pytestmark = pytest.mark.slow

SPECIFICATION = """
job: pooled
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {retry: {attempts: 2, delay: 100ms}}
tables:
  people: {from: people, key: [id], copy: [id, name]}
  visits:
    from: {query: "SELECT id, id AS person FROM people"}
    source_key: id
    key: [id]
    duplicates: {keep: first, order: [id], losers: reject}
    fields: {id: {from: id}, person: {from: person, ref: people}}
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with debian_server() as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here")
        yield uri


@pytest.fixture
def databases(server: str) -> Iterator[tuple[str, str]]:
    """The names of a source with rows and of a target."""
    with psycopg.connect(server, autocommit=True) as connection:
        for name in ("legacy", "target"):
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        with psycopg.connect(make_conninfo(server, dbname="legacy")) as legacy:
            legacy.execute(
                "CREATE TABLE people (id int PRIMARY KEY, name text);"
                "INSERT INTO people SELECT i, 'n' || i FROM generate_series(1, 2000) i"
            )
        with psycopg.connect(make_conninfo(server, dbname="target")) as target:
            target.execute(
                "CREATE TABLE people (id int PRIMARY KEY, name text);"
                "CREATE TABLE visits (id int PRIMARY KEY, person int NOT NULL REFERENCES people)"
            )
        yield "legacy", "target"
        for name in ("legacy", "target"):
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def at(uri: str, database: str) -> str:
    return uri.replace("/postgres?", f"/{database}?")


def run(folder: Path, verb: Sequence[str], legacy: str, target: str) -> int:
    path = folder / "pooled.yaml"
    path.write_text(SPECIFICATION)
    given = [str(path) if a == "SPEC" else a for a in verb]
    return main([*given, f"--var=LEGACY_URL={legacy}", f"--var=TARGET_URL={target}"])


SETTINGS = ("timezone", "lock_timeout", "idle_session_timeout", "bytea_output", "lc_monetary")


def leaked(uri: str) -> list[tuple[object, ...]]:
    """The settings of the sessions that another application is given by the pooler."""
    found = []
    with ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(psycopg.connect(uri, autocommit=True))
            shown = ", ".join(f"current_setting('{name}')" for name in SETTINGS)
            found.append(client.execute(f"SELECT {shown}").fetchone() or ())
            client.execute("SELECT 1")
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"pool_mode": "transaction"},
        {"pool_mode": "transaction", "server_round_robin": "1", "min_pool_size": "3"},
        {"pool_mode": "statement"},
    ],
    ids=["transaction", "round robin", "statement"],
)
def test_a_pooler_that_shares_sessions_is_refused_before_anything_is_written(
    server: str,
    databases: tuple[str, str],
    settings: dict[str, str],
    tmp_path: Path,
    capsys: Capture,
) -> None:
    legacy, target = databases
    with pooler(server, **settings) as pooled:
        before = leaked(at(pooled, target))
        for urls in (
            (at(server, legacy), at(pooled, target)),
            (at(pooled, legacy), at(server, target)),
        ):
            for verb in (["plan", "SPEC"], ["migrate", "SPEC"]):
                assert run(tmp_path, verb, *urls) == 2, verb
                told = " ".join(capsys.readouterr().err.split())
                assert "SYS-004" in told
                assert "gives each transaction another session" in told
                assert "-> use the server's own port in the URL" in told
        assert leaked(at(pooled, target)) == before
    with psycopg.connect(at(server, target)) as connection:
        assert connection.execute("SELECT to_regnamespace('migration')").fetchone() == (None,)


@pytest.mark.parametrize("size", ["20", "8"])
def test_a_pooler_that_keeps_sessions_is_as_good_as_none(
    server: str, databases: tuple[str, str], tmp_path: Path, size: str, capsys: Capture
) -> None:
    legacy, target = databases
    with pooler(server, pool_mode="session", default_pool_size=size) as pooled:
        before = leaked(at(pooled, target))
        urls = at(pooled, legacy), at(pooled, target)
        assert run(tmp_path, ["plan", "SPEC"], *urls) == 0
        assert run(tmp_path, ["migrate", "SPEC"], *urls) == 0, capsys.readouterr().err
        assert run(tmp_path, ["status", "SPEC"], *urls) == 0
        assert leaked(at(pooled, target)) == before
    with psycopg.connect(at(server, target)) as connection:
        counts = "SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM visits)"
        assert connection.execute(counts).fetchone() == (2000, 2000)
