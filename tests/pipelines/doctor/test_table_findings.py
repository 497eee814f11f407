"""Findings on tables of the target: columns, statistics, indexes."""

from __future__ import annotations

import pytest

from pipelines.doctor.health_finding import FindingLevel
from schemas.errors import ErrorCode
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.wards_and_beds import apply, diagnose, fill, only, severe
from tests.support.waiting import wait_until


@pytest.fixture
def hospital(databases: TwoDatabases) -> TwoDatabases:
    fill(databases)
    return databases


def test_a_missing_column(hospital: TwoDatabases) -> None:
    hospital.target.run("ALTER TABLE beds DROP COLUMN kind")
    finding = only(diagnose(hospital))
    assert finding.level is FindingLevel.BLOCKER
    assert finding.code in (ErrorCode.TRANS_001, ErrorCode.TRANS_004)
    assert "kind" in finding.subject + finding.reason
    hospital.target.run("ALTER TABLE beds ADD kind text")
    assert severe(diagnose(hospital)) == []


@pytest.mark.slow
def test_outdated_statistics(hospital: TwoDatabases) -> None:
    hospital.target.run("INSERT INTO wards SELECT i, 'w' FROM generate_series(1, 3000) i")
    changed = "SELECT n_mod_since_analyze FROM pg_stat_user_tables WHERE relname = 'wards'"
    wait_until(lambda: hospital.target.row(changed) == (3000,))
    finding = only(diagnose(hospital))
    assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.SYS_002)
    assert finding.fix == "ANALYZE public.wards;"
    apply(hospital.target, finding.fix)
    wait_until(lambda: hospital.target.row(changed) == (0,))
    assert severe(diagnose(hospital)) == []


def test_a_key_without_an_index(hospital: TwoDatabases) -> None:
    hospital.target.run(
        "ALTER TABLE beds DROP CONSTRAINT beds_ward_fkey; ALTER TABLE wards DROP CONSTRAINT"
        " wards_pkey"
    )
    finding = only(diagnose(hospital))
    assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.SYS_002)
    assert finding.fix == "CREATE INDEX CONCURRENTLY ON public.wards (code);"
    apply(hospital.target, finding.fix)
    assert severe(diagnose(hospital)) == []


@pytest.mark.slow
def test_a_foreign_key_without_an_index(hospital: TwoDatabases) -> None:
    hospital.target.run("DROP INDEX beds_ward_idx")
    diagnosis = diagnose(hospital)
    assert severe(diagnosis) == []
    (fix,) = [one.fix for one in diagnosis.findings if "beds_ward_fkey" in one.reason]
    apply(hospital.target, fix)
    assert "beds_ward_fkey" not in str(diagnose(hospital).findings)


@pytest.mark.slow
def test_an_invalid_index(hospital: TwoDatabases) -> None:
    hospital.target.run("INSERT INTO beds VALUES (1, NULL, 'x'), (2, NULL, 'x')")
    with pytest.raises(Exception, match="could not create unique index"):
        hospital.target.run("CREATE UNIQUE INDEX CONCURRENTLY one_kind ON beds (kind)")
    hospital.target.run("DELETE FROM beds")
    finding = only(diagnose(hospital))
    assert finding.code is ErrorCode.SYS_002
    apply(hospital.target, finding.fix)
    assert severe(diagnose(hospital)) == []


@pytest.mark.slow
def test_autovacuum_is_off_for_a_table(hospital: TwoDatabases) -> None:
    hospital.target.run("ALTER TABLE beds SET (autovacuum_enabled = off)")
    finding = only(diagnose(hospital))
    assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.SYS_002)
    apply(hospital.target, finding.fix)
    assert severe(diagnose(hospital)) == []
