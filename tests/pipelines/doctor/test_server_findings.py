"""Findings on servers: the way to them, rights, sessions, settings."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from pipelines.doctor.health_finding import FindingLevel
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.as_role import ROLE, as_role
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.wards_and_beds import LOADS, apply, diagnose, fill, only, severe
from tests.support.waiting import wait_until


@pytest.fixture
def hospital(databases: TwoDatabases) -> TwoDatabases:
    fill(databases)
    return databases


def test_a_host_that_does_not_exist(hospital: TwoDatabases) -> None:
    header = HEADER.replace("${LEGACY_URL}", "postgresql://postgres@nowhere.invalid/legacy")
    hospital.write(LOADS, header)
    diagnosis = diagnose(hospital)
    finding = only(diagnosis)
    assert finding.level is FindingLevel.BLOCKER
    assert finding.code is ErrorCode.CONN_004
    assert finding.subject == "source, nowhere.invalid:5432"
    assert diagnosis.status is ExitStatus.BLOCKED
    # The rest of that server is left out, and the other one examined.
    assert {fact.subject for fact in diagnosis.facts} == {"target", "machine"}
    hospital.write(LOADS)
    assert severe(diagnose(hospital)) == []


def test_a_closed_port(hospital: TwoDatabases) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    header = HEADER.replace("${TARGET_URL}", f"postgresql://postgres@127.0.0.1:{port}/target")
    hospital.write(LOADS, header)
    finding = only(diagnose(hospital))
    assert (finding.level, finding.code) == (FindingLevel.BLOCKER, ErrorCode.CONN_004)
    assert finding.fix.startswith(f"pg_isready -h 127.0.0.1 -p {port}")


@pytest.mark.slow
def test_another_host_of_the_url_is_reached(hospital: TwoDatabases) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = hospital.target.url.partition("host=")[2]
    url = f"postgresql://postgres@/{hospital.target.name}?host=127.0.0.1,{folder}&port={port},5432"
    hospital.write(LOADS, HEADER.replace("${TARGET_URL}", url))
    diagnosis = diagnose(hospital)
    finding = only(diagnosis)
    assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.CONN_004)
    assert diagnosis.status is ExitStatus.COMPLETE


def test_a_missing_right(hospital: TwoDatabases) -> None:
    with as_role(hospital) as others:
        hospital.legacy.run(f"REVOKE SELECT ON old_beds FROM {ROLE}")
        finding = only(diagnose(others))
        assert (finding.level, finding.code) == (FindingLevel.BLOCKER, ErrorCode.USER_002)
        apply(hospital.legacy, finding.fix)
        assert severe(diagnose(others)) == []


@pytest.mark.slow
def test_a_session_that_blocks_another(hospital: TwoDatabases) -> None:
    with closing(hospital.target.another()) as holder, closing(hospital.target.another()) as waiter:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE wards IN SHARE MODE")
        waiter.pgconn.send_query(b"SET lock_timeout = 0; INSERT INTO wards VALUES ('x', 'y')")
        waits = (
            "SELECT count(*) FROM pg_locks WHERE waitstart < clock_timestamp() - interval '1.1 s'"
        )
        wait_until(lambda: hospital.target.row(waits) == (1,))
        finding = only(diagnose(hospital))
        assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.SYS_005)
        assert finding.fix == f"SELECT pg_terminate_backend({holder.info.backend_pid});"
        apply(hospital.target, finding.fix)
        wait_until(lambda: hospital.target.row(waits) == (0,))
        assert severe(diagnose(hospital)) == []


def test_a_long_transaction(hospital: TwoDatabases) -> None:
    with closing(hospital.legacy.another()) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 'a patient'")
        assert severe(diagnose(hospital)) == []
        finding = only(diagnose(hospital, long_after=0.001))
        assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.SYS_002)
        apply(hospital.legacy, finding.fix)
        gone = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {holder.info.backend_pid}"
        wait_until(lambda: hospital.legacy.row(gone) == (0,))
        assert severe(diagnose(hospital, long_after=0.001)) == []


@pytest.mark.slow
def test_too_few_connections(hospital: TwoDatabases) -> None:
    with as_role(hospital) as others:
        header = HEADER.replace("{retry:", "{connections: {source: 20, target: 20}, retry:")
        others.write(LOADS, header)
        hospital.target.run(f"ALTER ROLE {ROLE} CONNECTION LIMIT 6")
        finding = only(diagnose(others))
        assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.CONN_005)
        apply(hospital.target, finding.fix)
        assert severe(diagnose(others)) == []


SETTINGS = (
    "autovacuum",
    "checkpoint_timeout",
    "maintenance_work_mem",
    "max_wal_size",
    "wal_compression",
)
FSYNC = "ALTER SYSTEM SET fsync = 'on';\nSELECT pg_reload_conf();"


@pytest.mark.slow
def test_settings_of_the_server(hospital: TwoDatabases) -> None:
    target = hospital.target
    apply(target, "ALTER SYSTEM SET autovacuum = off\nSELECT pg_reload_conf()")
    changed = [one for one in SETTINGS if one != "autovacuum"]
    try:
        wait_until(lambda: target.row("SHOW autovacuum") == ("off",))
        diagnosis = diagnose(hospital)
        finding = only(diagnosis)
        assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.SYS_002)
        apply(target, finding.fix)
        advised = [
            one for one in diagnosis.findings if one.fix.partition("=")[0].split()[-1] in changed
        ]
        assert len(advised) == len(changed)
        for one in advised:
            apply(target, one.fix)
        wait_until(lambda: target.row("SHOW autovacuum") == ("on",))
        wait_until(lambda: target.row("SHOW wal_compression") != ("off",))
        assert [one for one in diagnose(hospital).findings if one.fix != FSYNC] == []
    finally:
        for name in SETTINGS:
            target.run(f"ALTER SYSTEM RESET {name}")
        target.run("SELECT pg_reload_conf()")


@pytest.mark.slow
def test_a_server_that_answers_nothing(hospital: TwoDatabases) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/target"
        hospital.write(LOADS, HEADER.replace("${TARGET_URL}", url))
        diagnosis = diagnose(hospital)
    finding = only(diagnosis)
    assert (finding.level, finding.code) == (FindingLevel.BLOCKER, ErrorCode.CONN_001)
    assert diagnosis.seconds < 10


@pytest.mark.slow
@pytest.mark.parametrize("place", ["source", "target"])
def test_a_locked_table(hospital: TwoDatabases, place: str) -> None:
    database = hospital.legacy if place == "source" else hospital.target
    table = "old_wards" if place == "source" else "wards"
    # As the specification says nothing else, a run would try again after seconds.
    header = HEADER.replace("limits: {retry: {attempts: 1, delay: 10ms}}", "")
    hospital.write(LOADS, header)
    with closing(database.another()) as holder:
        holder.execute("BEGIN")
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        diagnosis = diagnose(hospital)
        assert diagnosis.seconds < 10
        finding = only(diagnosis)
        assert finding.subject == f"{place}, session {holder.info.backend_pid}"
        assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.SYS_005)
        apply(database, finding.fix)
        wait_until(lambda: database.row(f"SELECT count(*) FROM {table}"))
    assert severe(diagnose(hospital)) == []


@pytest.mark.slow
def test_a_source_that_takes_long(hospital: TwoDatabases) -> None:
    hospital.legacy.run(
        "ALTER TABLE old_wards RENAME TO stored;"
        "CREATE VIEW old_wards AS SELECT stored.* FROM stored, pg_sleep(60)"
    )
    diagnosis = diagnose(hospital)
    assert diagnosis.seconds < 10
    assert severe(diagnosis) == []
    assert [one.subject for one in diagnosis.findings if "--deep" in one.fix] == [
        "table wards, in the source"
    ]
