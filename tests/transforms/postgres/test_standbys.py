"""Sources with a hot standby, several hosts, and sessions that the server ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pipelines.cli.main import main
from tests.support.servers.standby import primary_and_standby, wait_for_standby
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

Printed = Callable[[], str]

LOADS = """
job: standby
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {connections: {source: 1, target: 1}, retry: {attempts: ATTEMPTS, delay: 300ms}}
tables:
""" + "".join(
    f"  l{i}:\n    into: people\n    key: [id]\n    copy: [id, name]\n    source_key: id\n"
    f'    from: {{query: "SELECT id, name FROM people WHERE id % 10 = {i}"}}\n'
    for i in range(10)
)


class Servers:
    """A primary with a source database, its standby, and a target database on the primary."""

    def __init__(self, primary: str, standby: str) -> None:
        self.primary, self.standby = primary, standby

    def at(self, uri: str, database: str) -> str:
        return uri.replace("/postgres?", f"/{database}?")

    def both(self, database: str, order: tuple[str, ...], **more: str) -> str:
        parts = [conninfo_to_dict(uri) for uri in order]
        given = {
            "host": ",".join(str(p["host"]) for p in parts),
            "port": ",".join(str(p["port"]) for p in parts),
            **more,
        }
        return f"postgresql://postgres@/{database}?" + "&".join(
            f"{n}={v}" for n, v in given.items()
        )


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Printed:
    """Gives what is printed and logged, in one line."""
    return lambda: " ".join((capsys.readouterr().err + caplog.text).split())


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with primary_and_standby() as both:
        if both is None:
            pytest.skip("no PostgreSQL of Debian is here")
        yield Servers(*both)


@pytest.fixture
def made(servers: Servers) -> Iterator[Servers]:
    with psycopg.connect(servers.primary, autocommit=True) as connection:
        for name in ("legacy", "target"):
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        with psycopg.connect(servers.at(servers.primary, "legacy")) as legacy:
            legacy.execute(
                "CREATE TABLE people (id int PRIMARY KEY, name text);"
                "INSERT INTO people SELECT i, 'n' || i FROM generate_series(1, 300) i;"
                "CREATE TABLE other (a int); INSERT INTO other SELECT generate_series(1, 5000);"
            )
        with psycopg.connect(servers.at(servers.primary, "target")) as target:
            target.execute(
                "CREATE TABLE people (id int PRIMARY KEY, name text);"
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN PERFORM pg_sleep(0.01); RETURN new; END $$;"
                "CREATE TRIGGER slow BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION slow()"
            )
        wait_for_standby(servers.primary, servers.standby)
        yield servers
        for name in ("legacy", "target"):
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def run(
    folder: Path, printed: Printed, verb: str, legacy: str, target: str, attempts: int = 1
) -> tuple[int, str]:
    """The exit status of a verb, and what it prints and logs."""
    path = folder / "standby.yaml"
    path.write_text(LOADS.replace("ATTEMPTS", str(attempts)))
    status = main([verb, str(path), f"--var=LEGACY_URL={legacy}", f"--var=TARGET_URL={target}"])
    return status, printed()


def count(servers: Servers) -> int:
    with psycopg.connect(servers.at(servers.primary, "target"), autocommit=True) as target:
        return int((target.execute("SELECT count(*) FROM people").fetchone() or (0,))[0])


@contextmanager
def rows_removed_once(servers: Servers) -> Iterator[None]:
    """Removes rows of another table of the primary as soon as further rows are written."""
    before = count(servers)

    def remove() -> None:
        wait_until(lambda: count(servers) > before, 60)
        url = servers.at(servers.primary, "legacy")
        with psycopg.connect(url, autocommit=True) as legacy:
            legacy.execute("DELETE FROM other WHERE a % 2 = 0")
            legacy.execute("VACUUM other")

    thread = threading.Thread(target=remove)
    thread.start()
    yield
    thread.join()


def test_a_read_that_a_standby_cancels_is_named_and_done_under_another_snapshot(
    made: Servers, tmp_path: Path, printed: Printed
) -> None:
    legacy, target = made.at(made.standby, "legacy"), made.at(made.primary, "target")
    with rows_removed_once(made):
        status, told = run(tmp_path, printed, "migrate", legacy, target, attempts=1)
    assert status == 3, told
    assert "the source is a standby, and has canceled the read" in told
    assert "ALTER SYSTEM SET hot_standby_feedback = on" in told
    assert "see who else writes" not in told
    assert 0 < count(made) < 300
    # So that there is something to remove again.
    with psycopg.connect(made.at(made.primary, "legacy")) as refilled:
        refilled.execute("INSERT INTO other SELECT 2 * generate_series(1, 2500)")
    wait_for_standby(made.primary, made.standby)
    with rows_removed_once(made):
        status, told = run(tmp_path, printed, "migrate", legacy, target, attempts=4)
    assert (status, count(made)) == (0, 300), told
    assert "read again under another snapshot" in told


def test_a_run_keeps_to_one_of_several_hosts(
    made: Servers, tmp_path: Path, printed: Printed
) -> None:
    either = (made.standby, made.primary)
    # The target's first host is the standby, and no attribute says which one to take.
    target = made.both("target", either)
    legacy = made.both("legacy", either, load_balance_hosts="random")
    status, told = run(tmp_path, printed, "migrate", legacy, target)
    assert (status, count(made)) == (0, 300), told


def test_a_standby_as_the_target_is_refused(
    made: Servers, tmp_path: Path, printed: Printed
) -> None:
    legacy = made.at(made.primary, "legacy")
    status, told = run(tmp_path, printed, "migrate", legacy, made.at(made.standby, "target"))
    assert status == 2, told
    assert "SYS-004" in told
    assert "the target is a standby" in told
    with closing(psycopg.connect(made.primary, autocommit=True)) as connection:
        connection.execute("ALTER DATABASE target SET default_transaction_read_only = on")
        status, told = run(tmp_path, printed, "plan", legacy, made.at(made.primary, "target"))
        connection.execute("ALTER DATABASE target RESET default_transaction_read_only")
    assert status == 0
    assert "default_transaction_read_only = off" in told


def test_connections_that_reach_different_servers_are_noticed(
    made: Servers, tmp_path: Path, printed: Printed
) -> None:
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / ".s.PGSQL.5432"
    sockets = [
        f"{parts['host']}/.s.PGSQL.{parts['port']}"
        for parts in map(conninfo_to_dict, (made.primary, made.standby))
    ]
    code = (
        "import asyncio, itertools, sys\n"
        "turns = itertools.cycle(sys.argv[2:])\n"
        "async def pump(reader, writer):\n"
        "    while data := await reader.read(65536):\n"
        "        writer.write(data); await writer.drain()\n"
        "    writer.close()\n"
        "async def serve(reader, writer):\n"
        "    theirs = await asyncio.open_unix_connection(next(turns))\n"
        "    await asyncio.gather(pump(reader, theirs[1]), pump(theirs[0], writer),"
        " return_exceptions=True)\n"
        "async def main():\n"
        "    server = await asyncio.start_unix_server(serve, sys.argv[1])\n"
        "    await server.serve_forever()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, path, *sockets]) as balancer:
        try:
            wait_until(path.exists, 30)
            legacy = f"postgresql://postgres@/legacy?host={path.parent}"
            status, told = run(tmp_path, printed, "plan", legacy, made.at(made.primary, "target"))
        finally:
            balancer.kill()
    assert status == 2, told
    assert "has reached another server" in told
    assert "name one server in the URL" in told
