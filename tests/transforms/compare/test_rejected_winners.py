"""A winner among duplicates that is rejected itself: its losers say so, and have a way back."""

from __future__ import annotations

import pytest

from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.small_hospital import run_json
from tests.support.runs.replays import Capsys, assert_ledger_and_sink_agree, replay, staff

pytestmark = pytest.mark.slow

ROWS = (
    "(1, 'Ann', '20', NULL), (2, 'Ann', '?', NULL), (3, 'Ann', '10', NULL), (4, 'Ann', '30', NULL)"
)
OPEN = (
    "SELECT source_key, reason FROM migration.migration_errors"
    " WHERE status = 'open' AND rule_id = 'key.duplicate' ORDER BY 1"
)
REJECTED = [(key, "winner_rejected") for key in ("1", "3", "4")]


@pytest.fixture(params=["insert", "upsert"])
def hospital(databases: TwoDatabases, request: pytest.FixtureRequest) -> TwoDatabases:
    """A job whose row 2 wins by the order and can't be converted; 4, 1 and 3 come after it."""
    staff(databases, ROWS, request.param)
    assert databases.target.rows("TABLE staff") == []
    assert databases.target.rows(OPEN) == REJECTED
    return databases


def arrived(hospital: TwoDatabases) -> list[Row]:
    return hospital.target.rows("SELECT name, age FROM staff ORDER BY 1")


def discard_winner(hospital: TwoDatabases, capsys: Capsys) -> None:
    command = ["rejects", "discard", "SPEC", "--code", "DATA-003", "--reason", "unreadable"]
    assert run_json(hospital, capsys, command)["rows"] == 1


def test_a_corrected_winner_arrives(hospital: TwoDatabases, capsys: Capsys) -> None:
    assert not replay(hospital, capsys)["tables"]["staff"]["accepted"]
    assert hospital.target.rows(OPEN) == REJECTED
    hospital.legacy.run("UPDATE legacy_staff SET age = '50' WHERE id = 2")
    replay(hospital, capsys)
    assert arrived(hospital) == [("Ann", 50)]
    assert hospital.target.rows(OPEN) == [(key, "duplicate") for key in ("1", "3", "4")]
    causes = "SELECT count(root_cause_id) FROM migration.migration_errors WHERE status = 'open'"
    assert hospital.target.row(causes) == (0,)
    assert_ledger_and_sink_agree(hospital)


def test_the_next_in_the_order_follows_a_discarded_winner(
    hospital: TwoDatabases, capsys: Capsys
) -> None:
    discard_winner(hospital, capsys)
    assert hospital.target.rows(OPEN) == [*REJECTED[:2], ("4", "winner_gone")]
    assert replay(hospital, capsys)["tables"]["staff"]["accepted"] == 1
    assert arrived(hospital) == [("Ann", 30)]
    assert hospital.target.rows(OPEN) == [("1", "duplicate"), ("3", "duplicate")]
    # It comes back too late, and doesn't write over the row that took its place.
    run_json(hospital, capsys, ["rejects", "reopen", "SPEC", "--all"])
    hospital.legacy.run("UPDATE legacy_staff SET age = '50' WHERE id = 2")
    assert not replay(hospital, capsys)["tables"]["staff"]["accepted"]
    assert arrived(hospital) == [("Ann", 30)]
    assert_ledger_and_sink_agree(hospital)


def test_a_reopened_winner_has_its_losers_wait_again(
    hospital: TwoDatabases, capsys: Capsys
) -> None:
    discard_winner(hospital, capsys)
    run_json(hospital, capsys, ["rejects", "reopen", "SPEC", "--all"])
    assert hospital.target.rows(OPEN) == REJECTED
    assert not replay(hospital, capsys)["tables"]["staff"]["accepted"]
    assert arrived(hospital) == []


def test_a_winner_that_gets_another_key_releases_the_next(
    hospital: TwoDatabases, capsys: Capsys
) -> None:
    hospital.legacy.run("UPDATE legacy_staff SET age = '50', name = 'Bob' WHERE id = 2")
    replay(hospital, capsys)
    assert arrived(hospital) == [("Bob", 50)]
    assert ("4", "winner_gone") in hospital.target.rows(OPEN)
    assert replay(hospital, capsys)["tables"]["staff"]["accepted"] == 1
    assert arrived(hospital) == [("Ann", 30), ("Bob", 50)]
    assert hospital.target.rows(OPEN) == [("1", "duplicate"), ("3", "duplicate")]
    assert_ledger_and_sink_agree(hospital)
