"""``rejects discard``: rows are given up whole, warnings without their rows."""

from __future__ import annotations

import pytest

from tests.pipelines.replays import (
    LEDGER,
    MENDED,
    Capsys,
    assert_ledger_and_sink_agree,
    content,
    moved,
    replay,
)
from tests.pipelines.small_hospital import TABLES, fill, run, run_json
from tests.pipelines.two_databases import TwoDatabases


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
    assert replay(databases, capsys, "--rule", "NAME_REQUIRED")["tables"] == {}
    assert run_json(databases, capsys, [*discard, "--reason", "x"])["rows"] == 0
    assert_ledger_and_sink_agree(databases)


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
    (problem,) = run_json(databases, capsys, ["rejects", "discard", "SPEC", "--reason", " "], 2)[
        "problems"
    ]
    assert (problem["code"], problem["where"]) == ("USER-001", "--reason")
    with pytest.raises(SystemExit):
        run(databases, "rejects", "discard", "SPEC")
    assert "--reason" in capsys.readouterr().err
    assert databases.errors("status") == [("open",)] * 9
