"""Findings on rows of the source and on errors on record."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from pipelines.doctor.health_finding import FindingLevel
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.wards_and_beds import LOADS, diagnose, fill, only, severe


@pytest.fixture
def hospital(databases: TwoDatabases) -> TwoDatabases:
    fill(databases)
    return databases


class Trouble(NamedTuple):
    """Rows of the source that would be rejected, and the statement that corrects them."""

    id: str
    script: str
    code: str
    place: str
    extent: str
    fix: str


TROUBLES = (
    Trouble(
        "required",
        "INSERT INTO old_wards VALUES (30, 'X', NULL)",
        "DATA-001",
        "table wards, field name",
        "1 of 21 source rows",
        "UPDATE old_wards SET name = 'x' WHERE name IS NULL",
    ),
    Trouble(
        "orphan",
        "INSERT INTO old_beds VALUES (500, 'Planted', 'A'), (501, 'Planted', 'A')",
        "DATA-002",
        "table beds, field ward",
        "2 of 202 source rows",
        "DELETE FROM old_beds WHERE id >= 500",
    ),
    Trouble(
        "duplicate",
        "INSERT INTO old_wards VALUES (30, 'W1', 'Planted')",
        "DATA-004",
        "table wards, field code",
        "1 of 21 source rows",
        "DELETE FROM old_wards WHERE id = 30",
    ),
    Trouble(
        "unmapped",
        "UPDATE old_beds SET kind = 'Planted' WHERE id <= 3",
        "TRANS-002",
        "table beds, field kind",
        "3 of 200 source rows",
        "UPDATE old_beds SET kind = 'C' WHERE kind = 'Planted'",
    ),
)


@pytest.mark.parametrize("trouble", TROUBLES, ids=[one.id for one in TROUBLES])
def test_data_that_would_be_rejected(hospital: TwoDatabases, trouble: Trouble) -> None:
    hospital.legacy.run(trouble.script)
    diagnosis = diagnose(hospital)
    finding = only(diagnosis)
    assert (finding.level, finding.code.value) == (FindingLevel.WARNING, trouble.code)
    assert finding.subject == trouble.place
    assert finding.reason.startswith(trouble.extent)
    assert finding.fix
    assert "Planted" not in str(diagnosis)
    hospital.legacy.run(trouble.fix)
    assert severe(diagnose(hospital)) == []


@pytest.mark.slow
@pytest.mark.parametrize("deep", [False, True])
def test_all_rows_are_read_with_deep(hospital: TwoDatabases, deep: bool) -> None:
    hospital.legacy.run(
        "INSERT INTO old_beds SELECT i, 'W1', 'A' FROM generate_series(1000, 40000) i;"
        "INSERT INTO old_beds SELECT i, NULL, 'Planted' FROM generate_series(50000, 50006) i;"
        "ANALYZE old_beds"
    )
    diagnosis = diagnose(hospital, deep=deep)
    (rows,) = [
        fact.value
        for fact in diagnosis.facts
        if (fact.subject, fact.name) == ("load beds", "rows looked at")
    ]
    if deep:
        assert rows == 39208
        assert only(diagnosis).reason.startswith("7 of 39,208 source rows")
    else:
        assert isinstance(rows, int)
        assert rows <= 5000


@pytest.mark.slow
def test_a_failed_partition(hospital: TwoDatabases) -> None:
    hospital.target.fill_up("beds")
    hospital.migrate(LOADS, expected=ExitStatus.INCOMPLETE)
    findings = severe(diagnose(hospital))
    failed = [one for one in findings if "failed" in one.reason]
    assert [one.code for one in failed] == [ErrorCode.SYS_005]
    assert failed[0].fix.startswith("transfuse migrate ")
    hospital.target.make_room("beds")
    hospital.migrate(LOADS)
    assert severe(diagnose(hospital)) == []


@pytest.mark.slow
def test_open_violations_and_broken_budgets(hospital: TwoDatabases) -> None:
    hospital.legacy.run("UPDATE old_beds SET kind = 'Planted' WHERE id <= 50")
    hospital.migrate(LOADS)
    budget = HEADER + "errors: {budget: {rejected: 10%, min_rows: 10}}\n"
    hospital.write(LOADS, budget)
    diagnosis = diagnose(hospital)
    advice = [one for one in diagnosis.findings if one.subject == "job"]
    assert [(one.code, one.level) for one in advice] == [(ErrorCode.TRANS_002, FindingLevel.ADVICE)]
    assert advice[0].fix.endswith("--code TRANS-002")
    assert "the error budget is broken: 50 of 200 rows" in str(severe(diagnosis))
    assert "the error budget would be broken: about 50 of 200" in str(severe(diagnosis))
    assert "Planted" not in str(diagnosis)


def test_sources_of_files(hospital: TwoDatabases) -> None:
    (hospital.folder / "wards.csv").write_text("id,code,name\n1,W1,one\n2,W2,\n")
    (hospital.folder / "beds.csv").write_text("id,ward,kind\n1,W1,A\n")
    source = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: csv}")
    files = LOADS.replace("old_wards", "wards.csv").replace("old_beds", "beds.csv")
    hospital.write(files, source)
    assert only(diagnose(hospital)).subject == "table wards, field name"


@pytest.mark.slow
def test_several_sources(hospital: TwoDatabases) -> None:
    both = 'sources: {one: {url: "${LEGACY_URL}"}, two: {url: "postgresql://x@127.0.0.1:1/two"}}'
    header = HEADER.replace('source: {url: "${LEGACY_URL}"}', both)
    loads = LOADS.replace("from: old_wards", "from: {source: one, table: old_wards}")
    loads = loads.replace("from: old_beds", "from: {source: two, table: old_beds}")
    hospital.write(loads, header)
    diagnosis = diagnose(hospital)
    assert only(diagnosis).subject == "source two, 127.0.0.1:1"
    assert {"source one", "target"} <= {fact.subject for fact in diagnosis.facts}


@pytest.mark.slow
def test_problems_of_the_specification_need_no_server(hospital: TwoDatabases) -> None:
    header = HEADER.replace("${LEGACY_URL}", "postgresql://x@127.0.0.1:1/legacy")
    hospital.write(LOADS.replace("code: {from: code}", "code: {sql: 'lower('}"), header)
    findings = severe(diagnose(hospital))
    assert [one.level for one in findings] == [FindingLevel.BLOCKER] * 2
    assert any("code" in one.subject for one in findings)
    hospital.write(LOADS.replace("code: {from: code}", "code: {sql: 'lower('}"))
    assert "code" in only(diagnose(hospital)).subject
