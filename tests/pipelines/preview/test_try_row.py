"""``try``: one row through the transformations of a load."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.databases.two_databases import TwoDatabases, two_databases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json

pytestmark = pytest.mark.slow


Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def migrated(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    with two_databases(server, tmp_path_factory.mktemp("try")) as databases:
        fill(databases)
        databases.migrate(TABLES)
        yield databases


@pytest.fixture(scope="module")
def unloaded(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    with two_databases(server, tmp_path_factory.mktemp("try")) as databases:
        fill(databases)
        databases.write(TABLES)
        yield databases


def _violations(trial: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(v["code"], v["rule"], v["reason"]) for v in trial["violations"]]


def test_a_row_of_the_source(migrated: TwoDatabases, capsys: Capture) -> None:
    trial = run_json(migrated, capsys, ["try", "SPEC", "patients", "--key", "1"])
    assert trial["source"]["name"] == " Ada "
    (row,) = trial["rows"]
    assert row == {
        "patient_id": "P1",
        "name": "Ada",
        "born": "1980-01-31",
        "sex": "F",
        "mother_id": None,
    }
    assert (trial["verdict"], trial["violations"]) == ("accepted", [])


def test_all_violations_of_a_row(migrated: TwoDatabases, capsys: Capture) -> None:
    trial = run_json(migrated, capsys, ["try", "SPEC", "patients", "--key", "2"])
    assert trial["verdict"] == "rejected"
    assert sorted(_violations(trial)) == [
        ("DATA-001", "NAME_REQUIRED", "missing"),
        ("DATA-003", "born.type", "conversion"),
    ]
    assert all(v["message"] and v["remedy"] for v in trial["violations"])


def test_a_skipped_row_and_a_warning(migrated: TwoDatabases, capsys: Capture) -> None:
    trial = run_json(migrated, capsys, ["try", "SPEC", "patients", "--key", "4"])
    assert (trial["verdict"], trial["skip"]) == ("skipped", "DELETED")
    trial = run_json(migrated, capsys, ["try", "SPEC", "patients", "--key", "5"])
    assert trial["verdict"] == "accepted"
    assert _violations(trial) == [("DATA-005", "NAME_IS_LONG", None)]
    assert trial["violations"][0]["warning"]


def test_all_rows_of_a_cluster(migrated: TwoDatabases, capsys: Capture) -> None:
    trial = run_json(migrated, capsys, ["try", "SPEC", "diagnoses", "--key", "101"])
    assert [(row["code"], row["seq"]) for row in trial["rows"]] == [
        ("E11.21", "1"),
        ("E11.65", "2"),
    ]
    capsys.readouterr()
    assert run(migrated, "try", "SPEC", "diagnoses", "--key", "101") == 0
    printed = capsys.readouterr().out
    assert "row 2" in printed
    assert "E11.65" in printed
    assert "The row would be accepted." in printed


def test_references_are_looked_up_in_the_target(migrated: TwoDatabases, capsys: Capture) -> None:
    made = migrated.target.row("SELECT visit_id FROM visits WHERE patient_id = 'P1'")[0]
    trial = run_json(migrated, capsys, ["try", "SPEC", "diagnoses", "--key", "100"])
    assert trial["rows"][0]["visit_id"] == str(made)
    trial = run_json(migrated, capsys, ["try", "SPEC", "diagnoses", "--key", "102"])
    assert _violations(trial) == [("DATA-002", "visit_id.ref", "parent_rejected")]
    trial = run_json(migrated, capsys, ["try", "SPEC", "visits", "--key", "14"])
    assert _violations(trial) == [("DATA-001", "AFTER_BIRTH", None)]
    trial = run_json(migrated, capsys, ["try", "SPEC", "visits", "--key", "13"])
    assert (trial["verdict"], trial["skip"]) == ("skipped", "patient_id.ref")
    # Within the table as well, since all its rows are there.
    row = '{"id": 9, "pat_no": "P9", "name": "Eve", "mother": "P77"}'
    trial = run_json(migrated, capsys, ["try", "SPEC", "patients", row])
    assert _violations(trial) == [("DATA-002", "mother_id.ref", "set_null")]


def test_references_to_what_is_not_loaded(unloaded: TwoDatabases, capsys: Capture) -> None:
    trial = run_json(unloaded, capsys, ["try", "SPEC", "visits", "--key", "14"])
    assert (trial["verdict"], trial["rows"]) == (
        "accepted",
        [{"patient_id": "P5", "day": "1999-01-01"}],
    )
    told = "\n".join(trial["not_checked"])
    assert "patient_id: the reference to patients, which is not loaded yet" in told
    assert "AFTER_BIRTH: it depends on such a reference" in told
    trial = run_json(unloaded, capsys, ["try", "SPEC", "diagnoses", '{"diag_no": 7}'])
    # What needs no parent is checked all the same.
    assert sorted(_violations(trial)) == [
        ("DATA-001", "code.required", "missing"),
        ("DATA-001", "visit_id.required", "missing"),
    ]


DEPENDENT = """
tables:
  wards:
    from: wards
    key: [id]
    copy: [max_weight]
    fields: {id: {generate: sequence}}
  beds:
    from: beds
    key: [no]
    skip: {EMPTY_WARD: "out.label = 'none'", GONE: "no = 2"}
    copy: [no, weight]
    fields:
      ward_id: {from: ward, ref: wards, take: {most: max_weight}, on_missing: set_null}
      label: {sql: "'ward ' || out.ward_id"}
      upper_label: {sql: "upper(out.label)"}
    rules:
      BED_BEARS_IT: weight <= most
      BED_HAS_WEIGHT: weight > 0
"""


def test_everything_that_depends_on_an_absent_parent_is_left_out(
    databases: TwoDatabases, capsys: Capture
) -> None:
    databases.legacy.run(
        "CREATE TABLE wards (code text PRIMARY KEY, max_weight numeric);"
        "CREATE TABLE beds (no int PRIMARY KEY, ward text, weight numeric);"
        "INSERT INTO beds VALUES (1, 'A', -5), (2, 'A', 7)"
    )
    databases.target.run(
        "CREATE TABLE wards (id bigint PRIMARY KEY, max_weight numeric);"
        "CREATE TABLE beds (no int PRIMARY KEY, ward_id bigint, label text, upper_label text,"
        " weight numeric)"
    )
    databases.write(DEPENDENT)
    trial = run_json(databases, capsys, ["try", "SPEC", "beds", "--key", "1"])
    assert trial["rows"] == [{"no": "1", "weight": "-5"}]
    assert _violations(trial) == [("DATA-001", "BED_HAS_WEIGHT", None)]
    left_out = [told.partition(":")[0] for told in trial["not_checked"] if "depends" in told]
    assert left_out == ["label", "upper_label", "BED_BEARS_IT", "EMPTY_WARD"]
    trial = run_json(databases, capsys, ["try", "SPEC", "beds", "--key", "2"])
    assert trial["skip"] == "GONE"


def test_nothing_is_written(
    unloaded: TwoDatabases, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    assert run_json(unloaded, capsys, ["try", "SPEC", "patients", "--key", "1"])["rows"]
    assert run_json(unloaded, capsys, ["try", "SPEC", "patients", "{}"])["rows"]
    assert unloaded.target.rows("SELECT FROM pg_namespace WHERE nspname = 'migration'") == []


def test_a_given_row(unloaded: TwoDatabases, capsys: Capture) -> None:
    row = '{"ID": 1.0, "pat_no": 12345678901234567890.50, "name": "x"}'
    (problem,) = run_json(unloaded, capsys, ["try", "SPEC", "patients", row], 2)["problems"]
    assert problem["where"] == "column ID"
    row = row.replace("1.0,", "77,")
    trial = run_json(unloaded, capsys, ["try", "SPEC", "patients", row])
    assert trial["source_key"] == "77"
    # A number is taken as it is written, and a column that isn't given is NULL.
    assert trial["source"]["pat_no"] == "12345678901234567890.50"
    assert trial["source"]["sex"] is None
    assert trial["rows"][0]["name"] == "x"


def test_a_row_on_stdin(
    unloaded: TwoDatabases, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"diag_no": 1, "visit_no": 2, "code": "599.0"}'))
    trial = run_json(unloaded, capsys, ["try", "SPEC", "diagnoses"])
    assert trial["rows"][0]["code"] == "N39.0"


@pytest.mark.parametrize(
    ("row", "places"),
    [
        ("{", ["character 1"]),
        ("[1]", [""]),
        ('{"diag_no": "x", "cod": "599.0", "code": "too long"}', ["diag_no", "cod", "code"]),
        ('{"diag_no": 99999999999}', ["diag_no"]),
        ('{"diag_no": {"a": 1}, "code": [1]}', ["diag_no", "code"]),
    ],
)
def test_rows_that_the_source_cant_hold(
    unloaded: TwoDatabases, capsys: Capture, row: str, places: list[str]
) -> None:
    problems = run_json(unloaded, capsys, ["try", "SPEC", "diagnoses", row], 2)["problems"]
    assert [p["where"].removeprefix("column ") for p in problems] == places
    assert {p["code"] for p in problems} == {"USER-001"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["try", "SPEC", "nothing", "{}"],
        ["try", "SPEC", "patients", "{}", "--key", "1"],
        ["try", "SPEC", "patients", "--key", "1000"],
        ["try", "SPEC", "patients", "--key", "x"],
    ],
)
def test_wrong_use(unloaded: TwoDatabases, capsys: Capture, arguments: list[str]) -> None:
    (problem,) = run_json(unloaded, capsys, arguments, 2)["problems"]
    assert problem["code"] == "USER-001"


def test_values_of_every_transport(databases: TwoDatabases, capsys: Capture) -> None:
    columns = {
        "n": ("numeric", 1.50, "1.50"),
        "d": ("date", "infinity", "infinity"),
        "ts": ("timestamp", "0044-03-15 12:00:00 BC", "0044-03-15 12:00:00 BC"),
        "b": ("boolean", True, "true"),
        "j": ("jsonb", '{"a": 1}', '{"a": 1}'),
        "t": ("text", "\\ 'x' %", "\\ 'x' %"),
        "l": ("int[]", [1, 2], "{1,2}"),
        "f": ("float8", 0.1, "0.1"),
        "none": ("uuid", None, None),
    }
    table = ", ".join(f"{name} {kind}" for name, (kind, _, _) in columns.items())
    databases.legacy.run(f"CREATE TABLE things ({table})")
    databases.target.run(f"CREATE TABLE things ({table})")
    databases.write(f"tables:\n  things: {{from: things, copy: [{', '.join(columns)}]}}\n")
    row = json.dumps({name: given for name, (_, given, _) in columns.items()})
    trial = run_json(databases, capsys, ["try", "SPEC", "things", row.replace("1.5,", "1.50,")])
    expected = {name: text for name, (_, _, text) in columns.items()}
    assert trial["source"] == expected
    assert trial["rows"] == [expected]


def test_a_query_and_a_site_decision(migrated: TwoDatabases, capsys: Capture) -> None:
    migrated.target.run(
        "INSERT INTO migration.code_mappings (source_system, target_system, source_code,"
        " target_code) VALUES ('ICD9', 'ICD10', 'ZZZ', 'Z00.00')"
    )
    trial = run_json(migrated, capsys, ["try", "SPEC", "diagnoses", "--key", "103"])
    assert (trial["verdict"], trial["rows"][0]["code"]) == ("accepted", "Z00.00")
