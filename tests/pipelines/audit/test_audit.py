"""``migration_audit``: what people changed or viewed."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import ExitStatus
from tests.support.databases.as_role import ROLE, as_role
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run_json
from tests.support.runs.replays import Capsys


@pytest.fixture
def hospital(databases: TwoDatabases) -> TwoDatabases:
    """A complete job with rejected rows."""
    fill(databases)
    databases.migrate(TABLES)
    return databases


def audit(databases: TwoDatabases) -> list[tuple[Any, ...]]:
    return databases.target.rows(
        "SELECT action, object, rows, reason, person FROM migration.migration_audit ORDER BY id"
    )


def test_what_is_changed_is_recorded_in_the_words_of_who_does_it(
    hospital: TwoDatabases, capsys: Capsys
) -> None:
    flags = ["--by", "Jane"]
    discard = ["rejects", "discard", "SPEC", "--code", "TRANS-002", "--reason", "no such code"]
    rows = run_json(hospital, capsys, [*discard, "--yes", *flags])["rows"]
    run_json(hospital, capsys, ["rejects", "reopen", "SPEC", "--all", *flags])
    run_json(hospital, capsys, ["reset", "SPEC", "--yes", "--table", "diagnoses", *flags])
    recorded = audit(hospital)
    assert recorded[:2] == [
        ("discard", "", rows, "no such code", "Jane"),
        ("reopen", "", rows, None, "Jane"),
    ]
    assert [row[:2] + row[4:] for row in recorded[2:]] == [("reset", "diagnoses", "Jane")]
    details = "SELECT details->>'code' FROM migration.migration_audit WHERE action = 'discard'"
    assert hospital.target.values(details) == ["TRANS-002"]


@pytest.mark.slow
def test_the_records_outlive_their_job(hospital: TwoDatabases, capsys: Capsys) -> None:
    run_json(hospital, capsys, ["reset", "SPEC", "--yes"])
    assert {row[0] for row in audit(hospital)} == {"reset"}
    assert hospital.target.values("SELECT count(*) FROM migration.migration_runs") == [1]


@pytest.mark.slow
def test_what_fails_is_not_recorded(hospital: TwoDatabases, capsys: Capsys) -> None:
    discard = ["rejects", "discard", "SPEC", "--rule", "NOWHERE", "--reason", "no", "--yes"]
    run_json(hospital, capsys, discard, ExitStatus.REFUSED)
    assert audit(hospital) == []


def test_who_looks_at_values_is_recorded_without_them(
    hospital: TwoDatabases, capsys: Capsys
) -> None:
    (identifier,) = hospital.target.values(
        "SELECT min(id) FROM migration.migration_errors WHERE load = 'patients'"
    )
    run_json(hospital, capsys, ["rejects", "show", "SPEC", str(identifier)])
    assert audit(hospital) == []
    run_json(hospital, capsys, ["rejects", "show", "SPEC", str(identifier), "--source"])
    assert [row[:2] for row in audit(hospital)] == [("view_values", f"violation {identifier}")]


@pytest.mark.slow
def test_who_tries_a_row_of_the_source_is_recorded(
    databases: TwoDatabases, capsys: Capsys, caplog: pytest.LogCaptureFixture
) -> None:
    fill(databases)
    databases.write(TABLES)
    run_json(databases, capsys, ["try", "SPEC", "patients", "--key", "1"])
    assert [r.levelname for r in caplog.records if r.name == "transfuse.try"] == ["WARNING"]
    databases.migrate(TABLES)
    run_json(databases, capsys, ["try", "SPEC", "patients", '{"pat_no": "P1"}'])
    assert audit(databases) == []
    run_json(databases, capsys, ["try", "SPEC", "patients", "--key", "1", "--by", "Jane"])
    assert audit(databases) == [("view_values", "load patients", None, None, "Jane")]


@pytest.mark.slow
def test_a_role_that_cannot_be_recorded_tries_rows_with_a_warning(
    hospital: TwoDatabases, capsys: Capsys, caplog: pytest.LogCaptureFixture
) -> None:
    with as_role(hospital) as others:
        hospital.target.run(
            f"GRANT USAGE ON SCHEMA migration TO {ROLE};"
            f"GRANT SELECT ON ALL TABLES IN SCHEMA migration TO {ROLE}"
        )
        others.write(TABLES)
        trial = run_json(others, capsys, ["try", "SPEC", "patients", "--key", "1"])
    assert trial["verdict"] == "accepted"
    assert [r.levelname for r in caplog.records if r.name == "transfuse.try"] == ["WARNING"]
    assert audit(hospital) == []


def test_a_replay_is_recorded_with_its_rows_and_filter(
    hospital: TwoDatabases, capsys: Capsys
) -> None:
    replay = ["rejects", "replay", "SPEC", "--table", "patients", "--by", "Jane"]
    rows = run_json(hospital, capsys, replay)["tables"]["patients"]["rows"]
    assert audit(hospital) == [("replay", "", rows, None, "Jane")]
    details = "SELECT details FROM migration.migration_audit"
    assert hospital.target.values(details) == [{"loads": "patients"}]
    verbs = "SELECT verb, state FROM migration.migration_runs ORDER BY id"
    assert hospital.target.rows(verbs)[1:] == [("rejects replay", "complete")]


def test_values_are_not_shown_to_a_role_that_cannot_be_recorded(
    hospital: TwoDatabases, capsys: Capsys
) -> None:
    with as_role(hospital) as others:
        hospital.target.run(
            f"GRANT USAGE ON SCHEMA migration TO {ROLE};"
            f"GRANT SELECT ON ALL TABLES IN SCHEMA migration TO {ROLE}"
        )
        others.write(TABLES)
        (identifier,) = hospital.target.values("SELECT min(id) FROM migration.migration_errors")
        show = ["rejects", "show", "SPEC", str(identifier), "--source"]
        (problem,) = run_json(others, capsys, show, ExitStatus.REFUSED)["problems"]
        assert problem["code"] == "USER-002"
        hospital.target.run(problem["remedy"])
        document = run_json(others, capsys, ["rejects", "show", "SPEC", str(identifier)])
    assert document["id"] == identifier
    assert audit(hospital) == []
