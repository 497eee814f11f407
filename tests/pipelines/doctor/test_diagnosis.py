"""``doctor`` as a whole: a sound setup, its output, and that nothing is written."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pipelines.doctor.health_finding import FindingLevel, HealthFact, HealthFinding
from pipelines.doctor.machine_health import examine_disk
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.as_role import ROLE, as_role
from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import prepare
from tests.support.jobs.small_hospital import run, run_json
from tests.support.jobs.wards_and_beds import LOADS, diagnose, fill, severe
from tests.support.project import PROJECT
from tests.support.runs.held_runs import gate, running, someone_waits
from tests.support.runs.held_runs import wait_until as wait_in_run
from tests.support.waiting import wait_until

VERSION_1 = PROJECT / "tests/pipelines/ledger/control_version_1.sql"


@pytest.fixture
def hospital(databases: TwoDatabases) -> TwoDatabases:
    fill(databases)
    return databases


def test_a_sound_setup(hospital: TwoDatabases) -> None:
    diagnosis = diagnose(hospital)
    assert severe(diagnosis) == []
    assert diagnosis.status is ExitStatus.COMPLETE
    assert diagnosis.seconds < 10


def test_little_disk(tmp_path: Path) -> None:
    assert not [
        one for one in examine_disk("machine", tmp_path, 1) if not isinstance(one, HealthFact)
    ]
    (_, finding) = examine_disk("machine", tmp_path, 10**18)
    assert isinstance(finding, HealthFinding)
    assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.SYS_005)


@pytest.mark.slow
def test_tables_of_an_earlier_version_are_not_upgraded(hospital: TwoDatabases) -> None:
    hospital.target.run(VERSION_1.read_text(encoding="utf-8"))
    diagnosis = diagnose(hospital)
    assert severe(diagnosis) == []
    assert "of version 1: any other command upgrades them" in str(diagnosis.findings)
    assert hospital.target.row("SELECT to_regclass('migration.migration_schema')") == (None,)


@pytest.mark.slow
def test_nothing_is_written(hospital: TwoDatabases) -> None:
    hospital.legacy.run("UPDATE old_beds SET kind = 'Planted' WHERE id <= 50")
    with as_role(hospital) as others:
        hospital.migrate(LOADS)
        hospital.target.run(
            f"GRANT USAGE ON SCHEMA migration TO {ROLE};"
            f"GRANT ALL ON ALL TABLES IN SCHEMA migration TO {ROLE};"
            f"ALTER ROLE {ROLE} SET default_transaction_read_only = on"
        )
        before = contents(hospital)
        others.write(LOADS)
        diagnosis = diagnose(others, deep=True)
        assert contents(hospital) == before
    assert "(kind.map, unknown_value)" in str(diagnosis.findings)
    assert "Planted" not in str(diagnosis)


def contents(databases: TwoDatabases) -> list[list[Row]]:
    """All rows of both databases, each with the transaction that wrote it."""
    names = (
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
    )
    return [
        database.rows(f"SELECT '{name}', t::text, xmin::text FROM {name} t ORDER BY 2")
        for database in (databases.legacy, databases.target)
        for name in database.values(names)
    ]


def test_the_command_prints_the_fixes(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital.target.run("ALTER TABLE beds SET (autovacuum_enabled = off)")
    assert run(hospital, "doctor", "SPEC") == 0
    printed = capsys.readouterr().out
    assert "  -> ALTER TABLE public.beds RESET (autovacuum_enabled);\n" in printed
    assert "moved: 0 blockers, 1 warning," in printed
    facts = printed.partition("WARNING")[0].splitlines()
    # Only a fact that is longer alone takes more than 80 columns.
    assert all(len(line) <= 80 for line in facts if "; " in line), facts


def test_a_blocker_is_exit_status_6(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital.target.run("DROP TABLE beds")
    document = run_json(hospital, capsys, ["doctor", "SPEC"], status=6)
    (finding,) = [one for one in document["findings"] if one["level"] != "advice"]
    assert finding.keys() == {"level", "code", "severity", "object", "reason", "fix"}
    assert finding["level"] == "blocker"
    assert document["facts"]["target"]["version"]
    assert document["facts"]["machine"]["processors"] >= 1


@pytest.mark.slow
def test_a_job_that_runs_is_left_alone(databases: TwoDatabases) -> None:
    prepare(databases)
    with (
        closing(gate(databases, "visits", "INSERT", "true")) as keeper,
        running(databases) as process,
    ):
        wait_in_run(process, lambda: someone_waits(databases))
        # The writers wait at the gate, which is a session of the test.
        gatekeeper = f"target, session {keeper.info.backend_pid}"
        wait_until(lambda: gatekeeper in {one.subject for one in diagnose(databases).findings})
        diagnosis = diagnose(databases)
        waits = (ErrorCode.SYS_005, ErrorCode.CONN_005)
        assert {one.subject for one in severe(diagnosis) if one.code in waits} == {gatekeeper}
        assert "held by a process" in {one.value for one in diagnosis.facts}
        keeper.close()
        assert process.wait(60) == 0
