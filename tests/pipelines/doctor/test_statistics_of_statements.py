"""Findings that need settings with which a server starts: statements, prepared transactions."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from schemas.errors import ErrorCode
from tests.support.databases.two_databases import Database, TwoDatabases
from tests.support.jobs.wards_and_beds import apply, diagnose, fill, only, severe
from tests.support.servers.debian_server import debian_server

pytestmark = pytest.mark.slow


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[TwoDatabases]:
    """A sound setup on a server of its own, with extensions and prepared transactions."""
    with debian_server() as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here, and the embedded one has no extensions")
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
            connection.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
            connection.execute("CREATE DATABASE legacy")
            connection.execute("CREATE DATABASE target")
            (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        program = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))[-1]
        subprocess.run(
            [program, "-D", data, "restart", "-w", "-m", "fast", "-l", f"{data}/log"],
            user="postgres" if os.geteuid() == 0 else None,
            cwd=data,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
        legacy, target = (uri.replace("/postgres?", f"/{name}?") for name in ("legacy", "target"))
        databases = TwoDatabases(Database(legacy), Database(target), tmp_path)
        fill(databases)
        databases.target.run("CREATE EXTENSION pg_stat_statements")
        yield databases
        databases.legacy.hang_up()
        databases.target.hang_up()


def test_slow_statements_are_reported_without_their_texts(hospital: TwoDatabases) -> None:
    for _ in range(10):
        hospital.target.run("SELECT pg_sleep(1.01), 'Planted'")
    diagnosis = diagnose(hospital)
    (slow,) = [one for one in diagnosis.findings if "statement" in one.subject]
    assert slow.code is ErrorCode.SYS_002
    assert slow.reason.startswith("10 calls took 1.0 s each")
    assert "Planted" not in str(diagnosis)
    assert "pg_sleep" not in str(diagnosis)
    # The statement that is printed shows it to somebody with the right to see it.
    assert "pg_sleep" in hospital.target.row(slow.fix.partition(";")[0])[0]


def test_a_prepared_transaction_is_left(hospital: TwoDatabases) -> None:
    hospital.target.run("BEGIN; INSERT INTO wards VALUES ('a', 'b'); PREPARE TRANSACTION 'it''s'")
    assert severe(diagnose(hospital)) == []
    finding = only(diagnose(hospital, long_after=0.001))
    assert finding.code is ErrorCode.SYS_005
    apply(hospital.target, finding.fix)
    assert severe(diagnose(hospital, long_after=0.001)) == []
