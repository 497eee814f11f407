"""``rejects reopen``: what was discarded is open again, as if nothing had been."""

from __future__ import annotations

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run_json
from tests.support.runs.replays import (
    LEDGER,
    MENDED,
    OPEN,
    Capsys,
    assert_ledger_and_sink_agree,
    content,
    replay,
)

WARNINGS = (
    "SELECT source_key, status, attempts FROM migration.migration_errors"
    " WHERE rule_id = 'NAME_IS_LONG' ORDER BY 1, 3"
)

DISCARD = ["rejects", "discard", "SPEC", "--reason", "a test"]
REOPEN = ["rejects", "reopen", "SPEC"]


@pytest.mark.slow
def test_discarded_rows_and_warnings_are_open_again(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    fill(databases)
    # A row that is rejected, with a warning.
    databases.legacy.run("UPDATE legacy_patients SET name = 'Z' WHERE id = 3")
    databases.migrate(TABLES)
    before, ledger = databases.target.rows(OPEN), databases.target.rows(LEDGER)
    run_json(databases, capsys, [*DISCARD, "--all", "--yes"])
    assert databases.target.rows(OPEN) == []
    document = run_json(databases, capsys, [*REOPEN, "--rule", "NAME_REQUIRED"])
    assert document == {"job": "moved", "rows": 1, "violations": 2, "warnings": 0}
    assert [rule for *_, rule, _ in databases.target.rows(OPEN)] == ["NAME_REQUIRED", "born.type"]
    # A warning without the row that it is about.
    document = run_json(databases, capsys, [*REOPEN, "--rule", "NAME_IS_LONG"])
    assert (document["rows"], document["warnings"]) == (0, 2)
    assert run_json(databases, capsys, [*REOPEN, "--all"])["rows"] == 7
    assert run_json(databases, capsys, [*REOPEN, "--all"])["rows"] == 0
    assert databases.target.rows(OPEN) == before
    assert databases.target.rows(LEDGER) == ledger
    assert databases.target.values(
        "SELECT DISTINCT note FROM migration.migration_errors WHERE changed_by = session_user"
    ) == ["a test"]

    # A replay records a warning again that was discarded, which then stays as it is.
    run_json(databases, capsys, [*DISCARD, "--rule", "NAME_IS_LONG"])
    replay(databases, capsys, "--table", "patients")
    assert databases.target.rows(WARNINGS) == [
        ("3", "discarded", 1), ("3", "open", 2), ("5", "discarded", 1),
    ]  # fmt: skip
    run_json(databases, capsys, [*DISCARD, "--rule", "NAME_IS_LONG"])
    assert run_json(databases, capsys, [*REOPEN, "--rule", "NAME_IS_LONG"])["warnings"] == 2
    assert databases.target.rows(WARNINGS) == [
        ("3", "discarded", 1), ("3", "open", 2), ("5", "open", 1),
    ]  # fmt: skip

    databases.legacy.run(MENDED)
    replay(databases, capsys)
    replay(databases, capsys)
    assert content(databases)[0][1][0].startswith("(P2,Eve,")
    assert_ledger_and_sink_agree(databases)


def test_what_is_reopened_has_to_be_named(databases: TwoDatabases, capsys: Capsys) -> None:
    fill(databases)
    databases.write(TABLES)
    (problem,) = run_json(databases, capsys, [*REOPEN, "--all"], 2)["problems"]
    assert problem["code"] == "USER-003"
    databases.migrate(TABLES)
    for flags, message, remedy in (
        ([], "nothing says which rows are to be reopened", "--all"),
        (["--all", "--rule", "AFTER_BIRTH"], "contradict", "leave one of them out"),
        (["--rule", "AFTER_BRITH"], "no rule 'AFTER_BRITH'", "did you mean 'AFTER_BIRTH'?"),
        (["--rule", "AFTER_BIRTH"], "no discarded rejection", "status 'discarded'"),
    ):
        (problem,) = run_json(databases, capsys, [*REOPEN, *flags], 2)["problems"]
        assert problem["code"] == "USER-001"
        assert message in problem["message"]
        assert remedy in problem["remedy"]
