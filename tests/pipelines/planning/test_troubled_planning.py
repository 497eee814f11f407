"""Planning that meets a locked table, a view that raises, a session that ends, or time-outs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from pipelines.cli.main import main
from tests.support.databases.two_databases import TwoDatabases
from tests.support.project import PROJECT
from tests.support.waiting import wait_until

HEADER = """
job: moved
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration, indexes: after_load}
limits: {retry: {attempts: 3, delay: 200ms}}
"""

TABLES = """
tables:
  people: {from: people, key: [id], copy: [id, name]}
  sums: {from: sums, source_key: id, key: [id], copy: [id, n]}
  visits:
    from: visits
    key: [id]
    fields: {id: {from: id}, person: {from: person, ref: people}}
  marks:
    from: visits
    key: [id]
    fields: {id: {from: id}, sum: {from: person, ref: sums}}
"""

LEGACY = """
CREATE TABLE people (id int PRIMARY KEY, name text);
INSERT INTO people SELECT i, 'n' || i FROM generate_series(1, 30) i;
CREATE TABLE visits (id int PRIMARY KEY, person int);
INSERT INTO visits SELECT i, i FROM generate_series(1, 30) i;
CREATE VIEW sums AS SELECT id, (10 / (id - 7))::text AS n FROM people;
"""

MENDED = "CREATE OR REPLACE VIEW sums AS SELECT id, (10 / id)::text AS n FROM people"

TARGET = """
CREATE TABLE people (id int PRIMARY KEY, name text);
CREATE TABLE sums (id int PRIMARY KEY, n text);
CREATE TABLE visits (id int PRIMARY KEY, person int REFERENCES people);
CREATE TABLE marks (id int PRIMARY KEY, sum int REFERENCES sums);
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def hospital(databases: TwoDatabases) -> TwoDatabases:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    databases.write(TABLES, HEADER)
    return databases


def run(databases: TwoDatabases, capsys: Capture, verb: str, **urls: str) -> tuple[int, str]:
    path = str(databases.folder / "specification.yaml")
    variables = [f"--var={n}={url}" for n, url in {**databases.variables, **urls}.items()]
    status = main([verb, path, *variables])
    printed = capsys.readouterr()
    return status, " ".join((printed.out + printed.err).split())


def counts(databases: TwoDatabases) -> list[int]:
    tables = ("people", "sums", "visits", "marks")
    return [databases.target.row(f"SELECT count(*) FROM {table}")[0] for table in tables]


def start(databases: TwoDatabases, verb: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", verb, databases.folder / "specification.yaml"],
        cwd=PROJECT,
        env=os.environ | databases.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def is_blocked(databases: TwoDatabases, pid: int) -> bool:
    asked = f"SELECT count(*) FROM pg_stat_activity WHERE {pid} = ANY(pg_blocking_pids(pid))"
    return bool(databases.legacy.row(asked)[0])


@pytest.mark.slow
def test_a_view_that_raises_stops_its_own_load_alone(
    hospital: TwoDatabases, capsys: Capture
) -> None:
    status, told = run(hospital, capsys, "plan")
    assert status == 3, told
    assert told.count("SYS-004") == 1, told
    assert "table sums, in the source: the database can't compute a row" in told
    assert "visits │ public.visits" in told
    status, told = run(hospital, capsys, "migrate")
    assert status == 3, told
    assert "table sums, in the source: the database can't compute a row" in told
    assert "22012" in told
    assert counts(hospital) == [30, 0, 30, 0]
    hospital.legacy.run(MENDED)
    status, told = run(hospital, capsys, "migrate")
    assert (status, counts(hospital)) == (0, [30, 30, 30, 30]), told


@pytest.mark.slow
@pytest.mark.parametrize("side", ["legacy", "target"])
def test_a_table_that_is_locked_is_named_while_planning(hospital: TwoDatabases, side: str) -> None:
    hospital.legacy.run(MENDED)
    holder = getattr(hospital, side).another()
    holder.execute("BEGIN; LOCK TABLE visits")
    pid = holder.info.backend_pid
    process = start(hospital, "migrate")
    try:
        wait_until(lambda: is_blocked(hospital, pid), 60)
        begun = time.monotonic()
        told = ""
        assert process.stdout is not None
        while f"session {pid} " not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        # Ten seconds, and what a busy machine takes.
        assert time.monotonic() - begun < 15
        place = "the source" if side == "legacy" else "the target"
        assert f"SYS-005 session {pid} ('test') of {place}" in told
        assert f"SELECT pg_terminate_backend({pid})" in told
    finally:
        holder.close()
        told += process.communicate(timeout=120)[0]
    assert (process.returncode, counts(hospital)) == (0, [30, 30, 30, 30]), told


@pytest.mark.slow
def test_a_session_that_is_ended_while_rows_are_counted_is_replaced(hospital: TwoDatabases) -> None:
    hospital.legacy.run(MENDED)
    for verb in ("plan", "migrate"):
        holder = hospital.legacy.another()
        holder.execute("BEGIN; LOCK TABLE visits")
        pid = holder.info.backend_pid
        process = start(hospital, verb)
        try:
            wait_until(partial(is_blocked, hospital, pid), 60)
            hospital.legacy.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE {pid} = ANY(pg_blocking_pids(pid))"
            )
        finally:
            holder.close()
            told, _ = process.communicate(timeout=120)
        assert process.returncode == 0, told
        assert "read again under another snapshot" in told
    assert counts(hospital) == [30, 30, 30, 30]


@pytest.mark.slow
def test_timeouts_of_role_and_database_do_not_end_a_migration(
    hospital: TwoDatabases, capsys: Capture
) -> None:
    hospital.legacy.run(
        "CREATE OR REPLACE VIEW sums AS SELECT id, '1' AS n FROM people"
        " WHERE pg_sleep(0.02) IS NOT NULL"
    )
    hospital.target.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.02); RETURN new; END $$;"
        "CREATE TRIGGER slow BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION slow();"
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.02); RETURN $1; END $$;"
        "CREATE INDEX built_last ON visits (slow(person))"
    )
    for database in (hospital.legacy, hospital.target):
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            database.run(f'ALTER DATABASE "{database.name}" SET {name} = 300')
    status, told = run(hospital, capsys, "migrate")
    assert (status, counts(hospital)) == (0, [30, 30, 30, 30]), told
    indexes = "SELECT count(*) FROM pg_indexes WHERE indexname = 'built_last'"
    assert hospital.target.row(indexes) == (1,)
    # What the URL itself sets holds, and is named.
    limited = f"{hospital.legacy.url}&options=-c%20statement_timeout%3D100"
    status, told = run(hospital, capsys, "plan", LEGACY_URL=limited)
    assert status == 3, told
    assert "the statement was canceled: by a statement_timeout in the URL's options" in told
    assert "-> take statement_timeout out of the options" in told
    assert "the URL's options or PGOPTIONS set statement_timeout = 100ms" in told


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["plan", "resume"])
def test_ctrl_c_ends_a_verb_that_waits_and_says_what_that_means(
    hospital: TwoDatabases, verb: str
) -> None:
    holder = hospital.legacy.another()
    if verb == "plan":
        holder.execute("BEGIN; LOCK TABLE visits")
    else:
        hospital.legacy.run(MENDED)
        migration = start(hospital, "migrate")
        assert migration.wait(timeout=120) == 0
        hospital.target.run(
            "UPDATE migration.migration_jobs SET state = 'paused', wanted = 'pause'"
        )
    process = start(hospital, verb)
    try:
        if verb == "plan":
            wait_until(lambda: is_blocked(hospital, holder.info.backend_pid), 60)
        else:
            asked = "SELECT wanted FROM migration.migration_jobs"
            wait_until(lambda: hospital.target.row(asked) == ("run",), 60)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        holder.close()
    assert process.returncode == 4
    expected = {
        "plan": "interrupted; nothing was written",
        "resume": "interrupted; 'status' shows whether the job goes on",
    }
    assert expected[verb] in told
    assert "start again to continue" not in told
