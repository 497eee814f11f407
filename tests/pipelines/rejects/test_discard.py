"""``rejects discard``: rows are given up whole, warnings without their rows."""

from __future__ import annotations

import io

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json
from tests.support.runs.replays import (
    LEDGER,
    MENDED,
    Capsys,
    assert_ledger_and_sink_agree,
    content,
    moved,
)


def test_discarded_rows_are_closed_whole_with_the_reason(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    ledger = databases.target.rows(LEDGER)
    discard = ["rejects", "discard", "SPEC", "--rule", "NAME_REQUIRED"]
    document = run_json(databases, capsys, [*discard, "--reason", " a test record "])
    assert document == {"job": "moved", "rows": 1, "violations": 2, "warnings": 0}
    assert databases.target.rows(
        "SELECT rule_id, note, changed_by = session_user, changed_at > created_at"
        " FROM migration.migration_errors WHERE status = 'discarded' ORDER BY 1"
    ) == [
        ("NAME_REQUIRED", "a test record", True, True),
        ("born.type", "a test record", True, True),
    ]
    # It isn't in the target, so it stays counted as rejected; and nothing brings it in.
    assert databases.target.rows(LEDGER) == ledger
    databases.legacy.run(MENDED)
    # Nor is it meant any more by anything that acts on open rejections.
    for verb in (["replay"], ["export"], ["list"], ["discard", "--reason", "x"]):
        command = ["rejects", verb[0], "SPEC", *verb[1:], "--rule", "NAME_REQUIRED"]
        (problem,) = run_json(databases, capsys, command, 2)["problems"]
        assert problem["code"] == "USER-001"
        assert "matches the filter" in problem["message"]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_warnings_are_discarded_without_their_row(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    before = content(databases)
    discard = ["rejects", "discard", "SPEC", "--rule", "NAME_IS_LONG", "--reason", "looked at"]
    document = run_json(databases, capsys, discard)
    assert document == {"job": "moved", "rows": 0, "violations": 0, "warnings": 1}
    assert content(databases) == before


@pytest.mark.slow
def test_a_warning_is_discarded_without_the_violations_of_its_row(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    fill(databases)
    databases.legacy.run("UPDATE legacy_patients SET name = 'Z' WHERE id = 3")
    databases.migrate(TABLES)
    discard = ["rejects", "discard", "SPEC", "--rule", "NAME_IS_LONG", "--reason", "looked at"]
    assert run_json(databases, capsys, discard)["rows"] == 0
    assert databases.target.rows(
        "SELECT rule_id, status FROM migration.migration_errors WHERE source_key = '3'"
        " AND load = 'patients' ORDER BY 1"
    ) == [("NAME_IS_LONG", "discarded"), ("sex.map", "open")]


def test_a_reason_is_needed(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    blank = ["rejects", "discard", "SPEC", "--all", "--reason", " "]
    (problem,) = run_json(databases, capsys, blank, 2)["problems"]
    assert (problem["code"], problem["where"]) == ("USER-001", "--reason")
    with pytest.raises(SystemExit):
        run(databases, "rejects", "discard", "SPEC")
    assert "--reason" in capsys.readouterr().err
    assert databases.errors("status") == [("open",)] * 9


def test_what_is_discarded_has_to_be_named(
    databases: TwoDatabases, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(databases)
    before = databases.target.rows("SELECT id, status FROM migration.migration_errors ORDER BY 1")
    discard = ["rejects", "discard", "SPEC", "--reason", "x"]
    for flags, message, remedy in (
        ([], "nothing says which rows", "--all"),
        (["--all", "--rule", "AFTER_BIRTH"], "contradict", "leave one of them out"),
        (["--rule", "AFTER_BRITH"], "no rule 'AFTER_BRITH'", "did you mean 'AFTER_BIRTH'?"),
        (["--rule", "AFTER_BIRTH", "--table", "patients"], "matches the filter", "rejects list"),
        (["--table", "visit"], "no table 'visit'", "did you mean 'visits'?"),
    ):
        (problem,) = run_json(databases, capsys, [*discard, *flags], 2)["problems"]
        assert problem["code"] == "USER-001"
        assert message in problem["message"]
        assert remedy in problem["remedy"]

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run(databases, *discard, "--all") == 4
    assert "Give up 8 rejected rows of the job 'moved', and" in capsys.readouterr().err
    unchanged = databases.target.rows(
        "SELECT id, status FROM migration.migration_errors ORDER BY 1"
    )
    assert unchanged == before
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run_json(databases, capsys, [*discard, "--rule", "AFTER_BIRTH"])["rows"] == 1
    # Not asked.
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run_json(databases, capsys, [*discard, "--all", "--yes"])["rows"] == 7
    assert run_json(databases, capsys, [*discard, "--all", "--yes"])["rows"] == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
