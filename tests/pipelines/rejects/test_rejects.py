"""``rejects list`` and ``rejects show`` on a hospital that has one of every trouble."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.databases.two_databases import TwoDatabases, two_databases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json


@pytest.fixture(scope="module")
def migrated(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    with two_databases(server, tmp_path_factory.mktemp("rejects")) as databases:
        fill(databases)
        databases.migrate(TABLES)
        yield databases


def _id(databases: TwoDatabases, condition: str) -> str:
    return str(
        databases.target.row(f"SELECT id FROM migration.migration_errors WHERE {condition}")[0]
    )


def test_groups_worst_first(migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> None:
    document = run_json(migrated, capsys, ["rejects", "list", "SPEC"])
    found = [
        (g["severity"], g["code"], g["rule"], g["table"], g["rows"]) for g in document["rejects"]
    ]
    assert found == [
        ("High", "DATA-002", "patient_id.ref", "visits", 2),
        ("High", "DATA-002", "visit_id.ref", "diagnoses", 1),
        ("Medium", "DATA-001", "AFTER_BIRTH", "visits", 1),
        ("Medium", "DATA-001", "NAME_REQUIRED", "patients", 1),
        ("Medium", "DATA-003", "born.type", "patients", 1),
        ("Medium", "DATA-004", "key.duplicate", "patients", 1),
        ("Medium", "TRANS-002", "code.map", "diagnoses", 1),
        ("Medium", "TRANS-002", "sex.map", "patients", 1),
    ]
    assert document["rejects"][0]["reasons"] == ["missing_parent", "parent_rejected"]
    assert [(g["rule"], g["rows"]) for g in document["warnings"]] == [("NAME_IS_LONG", 1)]
    # The patient without a name has no date either: one row, two violations.
    assert (document["rows"], document["violations"]) == (8, 9)


def test_the_list_as_tables(migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(migrated, "rejects", "list", "SPEC") == 0
    printed = capsys.readouterr().out
    assert "8 rows rejected, 9 open violations" in printed
    rejected, warnings = printed.split("Warnings")
    assert "patient_id.ref" in rejected
    assert "NAME_IS_LONG" not in rejected
    assert "NAME_IS_LONG" in warnings


@pytest.mark.parametrize(
    ("flags", "rules"),
    [
        (["--code", "TRANS-002"], ["code.map", "sex.map"]),
        (["--code", "trans-002", "--table", "patients"], ["sex.map"]),
        (["--table", "legacy_visits"], ["patient_id.ref", "AFTER_BIRTH"]),
        (["--rule", "NAME_REQUIRED"], ["NAME_REQUIRED"]),
    ],
)
def test_filters(
    migrated: TwoDatabases,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    rules: list[str],
) -> None:
    document = run_json(migrated, capsys, ["rejects", "list", "SPEC", *flags])
    assert [group["rule"] for group in document["rejects"]] == rules
    assert document["violations"] == sum(g["violations"] for g in document["rejects"])


@pytest.mark.parametrize(
    "flags", [["--code", "DATA-999"], ["--table", "nowhere"], ["--rule", "nothing"]]
)
def test_filters_that_name_nothing_known(
    migrated: TwoDatabases, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    (problem,) = run_json(migrated, capsys, ["rejects", "list", "SPEC", *flags], 2)["problems"]
    assert problem["code"] == "USER-001"
    assert problem["where"] == flags[0]


def test_only_open_ones_are_listed(
    migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    change = "UPDATE migration.migration_errors SET status = '{}' WHERE load <> 'visits'"
    migrated.target.run(change.format("discarded"))
    document = run_json(migrated, capsys, ["rejects", "list", "SPEC"])
    migrated.target.run(change.format("open"))
    assert {group["table"] for group in document["rejects"]} == {"visits"}
    assert document["warnings"] == []


def test_a_job_that_never_ran(databases: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> None:
    fill(databases)
    databases.write(TABLES)
    (problem,) = run_json(databases, capsys, ["rejects", "list", "SPEC"], 2)["problems"]
    assert (problem["code"], problem["remedy"]) == ("USER-003", "'migrate' it first")
    assert "has not run yet" in problem["message"]
    (problem,) = run_json(databases, capsys, ["rejects", "show", "SPEC", "1"], 2)["problems"]
    assert problem["code"] == "USER-001"


def test_everything_about_one(migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = _id(migrated, "rule_id = 'NAME_REQUIRED'")
    shown = run_json(migrated, capsys, ["rejects", "show", "SPEC", identifier])
    wanted = {
        "id": int(identifier),
        "error_code": "DATA-001",
        "description": "Data Validation Failure",
        "severity": "Medium",
        "category": "data",
        "rule_id": "NAME_REQUIRED",
        "field": "name",
        "reason": "missing",
        "message": "name is required and missing",
        "load": "patients",
        "source_table": "legacy_patients",
        "partition_id": "000001",
        "source_key": "2",
        "target_table": "public.patients",
        "target_key": "P2",
        "status": "open",
        "warning": False,
        "root_causes": [],
    }
    assert {name: shown[name] for name in wanted} == wanted
    assert "default" in shown["remedy"]
    (other,) = shown["same_row"]
    assert (other["rule_id"], other["error_code"]) == ("born.type", "DATA-003")
    assert "source" not in shown


def test_the_root_cause_of_the_root_cause(
    migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = _id(migrated, "load = 'diagnoses' AND rule_id = 'visit_id.ref'")
    shown = run_json(migrated, capsys, ["rejects", "show", "SPEC", identifier])
    causes = [(c["load"], c["source_key"], c["error_code"]) for c in shown["root_causes"]]
    assert causes[0] == ("visits", "11", "DATA-002")
    assert causes[1][:2] == ("patients", "2")
    assert len(causes) == 2
    capsys.readouterr()
    assert run(migrated, "rejects", "show", "SPEC", identifier) == 0
    printed = capsys.readouterr().out
    assert "DATA-002 Referential Integrity Violation" in printed
    assert "Follows from:" in printed
    assert "visits 11" in printed


def test_no_value_without_being_asked(
    migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = _id(migrated, "rule_id = 'born.type'")
    capsys.readouterr()
    assert run(migrated, "rejects", "show", "SPEC", identifier) == 0
    printed = capsys.readouterr()
    assert "1980-13-01" not in printed.out + printed.err
    assert run(migrated, "rejects", "show", "SPEC", identifier, "--source") == 0
    printed = capsys.readouterr()
    assert "1980-13-01" in printed.out
    assert "1980-13-01" not in printed.err


def test_the_source_row(migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = _id(migrated, "rule_id = 'sex.map'")
    shown = run_json(migrated, capsys, ["rejects", "show", "SPEC", identifier, "--source"])
    assert shown["source"] == {
        "id": "3",
        "pat_no": "P3",
        "name": "Zoe",
        "born": "1999-01-01",
        "sex": "Q",
        "mother": "P1",
        "deleted": None,
    }


@pytest.mark.parametrize("identifier", ["999999", "x", "1' OR true --", "9" * 30])
def test_an_id_that_there_isnt(
    migrated: TwoDatabases, capsys: pytest.CaptureFixture[str], identifier: str
) -> None:
    (problem,) = run_json(migrated, capsys, ["rejects", "show", "SPEC", identifier], 2)["problems"]
    assert problem["code"] == "USER-001"


def test_an_id_of_another_job(migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = _id(migrated, "rule_id = 'sex.map'")
    arguments = ["rejects", "show", "SPEC", identifier, "--job", "another"]
    (problem,) = run_json(migrated, capsys, arguments, 2)["problems"]
    assert "--job" in problem["remedy"]


def test_a_source_row_that_is_gone(
    migrated: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = _id(migrated, "rule_id = 'sex.map'")
    migrated.legacy.run("UPDATE legacy_patients SET id = 33 WHERE id = 3")
    shown = run_json(migrated, capsys, ["rejects", "show", "SPEC", identifier, "--source"])
    status = run(migrated, "rejects", "show", "SPEC", identifier, "--source")
    migrated.legacy.run("UPDATE legacy_patients SET id = 3 WHERE id = 33")
    assert shown["source"] is None
    assert status == 0
    assert "no row with this source key" in capsys.readouterr().err


KEYLESS = """
tables:
  by_ctid: {from: things, into: things, key: [n], fields: {n: {from: n, type: int}}}
  by_place:
    from: all_things
    into: things
    key: [n]
    write: skip_existing
    fields: {n: {from: n, type: int}}
  by_columns:
    from: things
    into: things
    source_key: [ward, bed]
    key: [n]
    write: skip_existing
    fields: {n: {from: n, type: int}}
"""


@pytest.fixture(scope="module")
def keyless(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    with two_databases(server, tmp_path_factory.mktemp("keyless")) as databases:
        databases.legacy.run(
            "CREATE TABLE things (ward text, bed int, n text);"
            "INSERT INTO things VALUES ('a', 1, '1'), ('a', 2, '2'), ('x''y', NULL, 'three'),"
            " ('b', 4, '4');"
            "CREATE VIEW all_things AS SELECT * FROM things"
        )
        databases.target.run("CREATE TABLE things (n int PRIMARY KEY)")
        databases.migrate(KEYLESS)
        yield databases


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "key"),
    [("by_ctid", "(0,3)"), ("by_place", "000001:3"), ("by_columns", """["x'y",null]""")],
)
def test_rows_that_have_no_single_key(
    keyless: TwoDatabases, capsys: pytest.CaptureFixture[str], load: str, key: str
) -> None:
    identifier = _id(keyless, f"load = '{load}' AND error_code = 'DATA-003'")
    shown = run_json(keyless, capsys, ["rejects", "show", "SPEC", identifier, "--source"])
    assert shown["source_key"] == key
    assert shown["source"] == {"ward": "x'y", "bed": None, "n": "three"}
    document = run_json(keyless, capsys, ["try", "SPEC", load, "--key", key])
    assert document["source"]["n"] == "three"
    assert document["verdict"] == "rejected"


@pytest.mark.parametrize(
    ("load", "key"),
    [
        ("by_ctid", "3"),
        ("by_ctid", "(0,99)"),
        ("by_ctid", "(0,3)' OR true --"),
        ("by_place", "3"),
        ("by_place", "000001:99"),
        ("by_place", "000009:1"),
        ("by_columns", "a"),
        ("by_columns", '["a"]'),
        ("by_columns", '["a", "x"]'),
        ("by_columns", '["a", "3"]'),
    ],
)
def test_keys_that_are_none(
    keyless: TwoDatabases, capsys: pytest.CaptureFixture[str], load: str, key: str
) -> None:
    (problem,) = run_json(keyless, capsys, ["try", "SPEC", load, "--key", key], 2)["problems"]
    assert problem["code"] == "USER-001"
    assert problem["where"] == f"table {load}"
