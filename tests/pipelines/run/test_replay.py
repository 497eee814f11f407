"""``rejects replay`` on a hospital that has one of every trouble."""

from __future__ import annotations

import json

import pytest

from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ExitStatus
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json
from tests.support.runs import other_processes
from tests.support.runs.replays import (
    LEDGER,
    MENDED,
    OPEN,
    Capsys,
    assert_ledger_and_sink_agree,
    content,
    moved,
    replay,
    staff,
)
from transforms.ledger.violation_records import ViolationRecords


@pytest.mark.slow
def test_what_still_fails_stays_open_with_one_more_attempt(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    before = content(databases), databases.target.rows(LEDGER), databases.target.rows(OPEN)
    document = replay(databases, capsys)
    assert document["tables"] == {
        "diagnoses": {"rows": 2, "accepted": 0, "skipped": 0, "rejected": 2, "left": 0},
        "patients": {"rows": 3, "accepted": 0, "skipped": 0, "rejected": 3, "left": 0},
        "visits": {"rows": 3, "accepted": 0, "skipped": 0, "rejected": 3, "left": 0},
    }
    after = content(databases), databases.target.rows(LEDGER), databases.target.rows(OPEN)
    assert after == before
    attempts = (
        "SELECT DISTINCT warning, attempts, status FROM migration.migration_errors ORDER BY 1"
    )
    assert databases.target.rows(attempts) == [(False, 2, "open"), (True, 1, "open")]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_what_has_gone_from_the_target_is_no_rows_fault(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text);"
        "INSERT INTO people VALUES (1, 'Ann'), (2, NULL), (3, NULL)"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE audit (id int);"
        "CREATE FUNCTION notes() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO audit VALUES (new.id); RETURN new; END $$;"
        "CREATE TRIGGER notes BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION notes()"
    )
    databases.migrate("tables: {people: {from: people, key: [id], copy: [id, name]}}\n")
    before = databases.target.rows(OPEN)
    assert [row[:3] for row in before] == [
        ("people", "2", "DATA-001"),
        ("people", "3", "DATA-001"),
    ]
    databases.legacy.run("UPDATE people SET name = 'Eve'")
    databases.target.run("ALTER TABLE audit RENAME TO former_audit")
    document = replay(databases, capsys, status=ExitStatus.INCOMPLETE)
    assert document["tables"]["people"]["left"] == 2
    assert databases.target.rows(OPEN) == before
    databases.target.run("ALTER TABLE former_audit RENAME TO audit")
    assert replay(databases, capsys)["tables"]["people"]["accepted"] == 2
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_mended_rows_arrive_as_if_they_had_been_right_from_the_beginning(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    document = replay(databases, capsys)
    assert {name: t["accepted"] for name, t in document["tables"].items()} == {
        "diagnoses": 2,
        "patients": 3,
        "visits": 3,
    }
    assert databases.errors("status") == [("replayed",)] * 9
    assert_ledger_and_sink_agree(databases)
    arrived, ledger = content(databases), databases.target.rows(LEDGER)
    # Replayed again, nothing is left to do.
    assert replay(databases, capsys)["tables"] == {}

    databases.target.run("TRUNCATE patients, visits, diagnoses; DROP SCHEMA migration CASCADE")
    databases.migrate(TABLES)
    assert content(databases) == arrived
    assert databases.target.rows(LEDGER) == ledger


@pytest.mark.slow
def test_one_code_of_one_table(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    flags = ("--code", "TRANS-002", "--table", "diagnoses")
    document = replay(databases, capsys, *flags)
    assert document["tables"] == {
        "diagnoses": {"rows": 1, "accepted": 1, "skipped": 0, "rejected": 0, "left": 0}
    }
    assert databases.target.values(
        "SELECT source_key FROM migration.migration_errors WHERE status = 'replayed'"
    ) == ["103"]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_a_row_is_replayed_whole_and_frees_its_children(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    # The patient without a name has no date either: both violations are closed.
    document = replay(databases, capsys, "--rule", "NAME_REQUIRED")
    assert document["tables"]["patients"]["accepted"] == 1
    assert databases.target.values(
        "SELECT rule_id FROM migration.migration_errors WHERE status = 'replayed' ORDER BY 1"
    ) == ["NAME_REQUIRED", "born.type"]
    assert document["freed"] == {"visits": 1}
    document = replay(databases, capsys, "--code", "DATA-002", "--table", "visits")
    assert (document["tables"]["visits"]["accepted"], document["freed"]) == (2, {"diagnoses": 1})
    document = replay(databases, capsys, "--code", "DATA-002")
    assert (document["tables"]["diagnoses"]["accepted"], document["freed"]) == (1, {})
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_other_violations_take_the_place_of_those_that_are_mended(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.legacy.run("UPDATE legacy_patients SET sex = 'F', born = 'soon' WHERE id = 3")
    document = replay(databases, capsys, "--code", "TRANS-002", "--table", "patients")
    assert document["tables"]["patients"]["rejected"] == 1
    assert databases.target.rows(
        "SELECT rule_id, status, attempts FROM migration.migration_errors"
        " WHERE load = 'patients' AND source_key = '3' ORDER BY 1"
    ) == [("born.type", "open", 2), ("sex.map", "replayed", 1)]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_rows_that_are_skipped_now(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run("UPDATE legacy_patients SET deleted = 'Y' WHERE id = 2")
    document = replay(databases, capsys, "--rule", "NAME_REQUIRED")
    assert document["tables"]["patients"]["skipped"] == 1
    # Its visit is a child of a skipped row, and then the diagnosis of that visit.
    document = replay(databases, capsys, "--code", "DATA-002")
    assert {name: t["skipped"] for name, t in document["tables"].items()} == {
        "diagnoses": 1,
        "visits": 1,
    }
    assert databases.target.rows(
        "SELECT load, skipped_by FROM migration.migration_partitions ORDER BY load"
    ) == [
        ("diagnoses", {"visit_id.ref": 1}),
        ("patients", {"DELETED": 2}),
        ("visits", {"patient_id.ref": 2}),
    ]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_todays_specification_decides(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.write(TABLES.replace("values: {F: F, M: M}", "values: {F: F, M: M, Q: U}"))
    document = replay(databases, capsys, "--rule", "sex.map")
    assert document["tables"]["patients"]["accepted"] == 1
    assert databases.target.rows("SELECT sex, mother_id FROM patients WHERE name = 'Zoe'") == [
        ("U", "P1")
    ]


@pytest.mark.slow
def test_the_index_of_a_replay_that_was_killed_goes_with_the_next(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.target.run(
        "CREATE INDEX migration_errors_for_replays ON migration.migration_errors"
        " (job_id, load, partition_id, source_key)"
    )
    replay(databases, capsys)
    assert databases.target.row(
        "SELECT to_regclass('migration.migration_errors_for_replays')::text"
    ) == (None,)


@pytest.mark.slow
def test_when_nothing_can_be_replayed(databases: TwoDatabases, capsys: Capsys) -> None:
    fill(databases)
    path = databases.write(TABLES)
    (problem,) = replay(databases, capsys, status=2)["problems"]
    assert (problem["code"], "has not run" in problem["message"]) == ("USER-003", True)
    databases.migrate(TABLES, only=["patients"])
    specification = read_specification(path, databases.variables)
    with databases.target.another() as held, JobLedger(held, specification).lock.hold():
        (problem,) = replay(databases, capsys, status=2)["problems"]
        assert (problem["code"], "running" in problem["message"]) == ("USER-003", True)
        discard = ["rejects", "discard", "SPEC", "--all", "--reason", "no"]
        (problem,) = run_json(databases, capsys, discard, 2)["problems"]
        assert problem["code"] == "USER-003"


@pytest.mark.slow
def test_rows_of_a_load_that_is_not_complete(databases: TwoDatabases, capsys: Capsys) -> None:
    fill(databases)
    databases.migrate(TABLES)
    databases.target.run("UPDATE migration.migration_partitions SET state = 'planned'")
    problems = replay(databases, capsys, status=2)["problems"]
    assert [(p["code"], p["where"].split()[-1]) for p in problems] == [
        ("USER-003", f"tables.{load}") for load in ("diagnoses", "patients", "visits")
    ]
    databases.write(TABLES.partition("  diagnoses:")[0])
    told = [p["message"] for p in replay(databases, capsys, status=2)["problems"]]
    assert any("doesn't have it any more" in message for message in told)


@pytest.mark.slow
def test_rows_that_cant_be_committed_are_left(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    databases.target.fill_up("visits")
    capsys.readouterr()
    assert run(databases, "rejects", "replay", "SPEC", "--json") == 3
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["tables"]["visits"] == {
        "rows": 3, "accepted": 0, "skipped": 0, "rejected": 0, "left": 3,
    }  # fmt: skip
    assert "SYS-005 table visits, first partition 000001" in printed.err
    assert "rejected rows of 1 partition are left" in printed.err
    assert "no worker" not in printed.err
    assert document["tables"]["patients"]["accepted"] == 3
    assert_ledger_and_sink_agree(databases)
    # One that is about other rows says nothing of these.
    capsys.readouterr()
    assert run(databases, "rejects", "replay", "SPEC", "--table", "diagnoses") == 0
    assert "SYS-005" not in capsys.readouterr().err
    databases.target.make_room("visits")
    document = replay(databases, capsys)
    assert document["tables"]["visits"]["accepted"] == 3
    assert databases.errors("status") == [("replayed",)] * 9


@pytest.mark.slow
def test_a_defect_is_no_matter_of_the_network(
    databases: TwoDatabases, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(databases)

    def defect(*_: object) -> None:
        raise AssertionError("Ruth Roe")

    with monkeypatch.context() as patch:
        patch.setattr(ViolationRecords, "read_rejected_keys", defect)
        capsys.readouterr()
        assert run(databases, "rejects", "replay", "SPEC", "--json") == ExitStatus.CRASH
    printed = capsys.readouterr()
    assert "SYS-003 table patients, first partition 000001" in printed.err
    assert "Ruth" not in printed.err
    assert "CONN" not in printed.err
    # What was said then isn't said of the next one.
    assert replay(databases, capsys)["tables"]["patients"]["rejected"] == 3


@pytest.mark.slow
def test_in_other_processes(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    document = replay(databases, capsys, *other_processes.FLAGS)
    assert {name: t["accepted"] for name, t in document["tables"].items()} == {
        "diagnoses": 2,
        "patients": 3,
        "visits": 3,
    }


@pytest.mark.slow
def test_the_replay_as_a_table(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    capsys.readouterr()
    assert run(databases, "rejects", "replay", "SPEC", "--rule", "NAME_REQUIRED") == 0
    printed = capsys.readouterr()
    assert "patients" in printed.out
    assert "1 of visits. Replay them with --code DATA-002" in printed.err
    assert run(databases, "rejects", "replay", "SPEC", "--rule", "NAME_REQUIRED") == 2
    assert "matches the filter" in capsys.readouterr().err


@pytest.mark.slow
def test_a_load_that_was_left_unsettled_and_is_gone_from_the_specification(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(databases, "(1, 'Ann', '5', NULL)")
    databases.target.run(
        "UPDATE migration.migration_loads SET settled = false; CREATE TABLE x (id int PRIMARY KEY)"
    )
    databases.legacy.run("CREATE TABLE x (id int PRIMARY KEY)")
    databases.write("tables: {x: {from: x, key: [id], copy: [id]}}")
    assert replay(databases, capsys)["tables"] == {}
