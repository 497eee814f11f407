"""Replayed rows that belong together: of a table that refers to itself, and of one key."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg
import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json
from tests.support.runs.replays import (
    BOSS,
    MENDED,
    STAFF,
    Capsys,
    assert_ledger_and_sink_agree,
    moved,
    replay,
    staff,
)
from tests.support.waiting import wait_until
from transforms.ledger.violation_records import ViolationRecords


@pytest.mark.slow
def test_rows_of_one_table_that_refer_to_each_other(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(
        databases,
        "(1, 'Ann', '?', NULL), (2, 'Bob', '50', 'Ann'), (3, 'Cem', '40', 'Bob'),"
        " (4, 'Dan', '30', 'Nobody'), (5, 'Eva', '20', 'Cem')",
        boss=BOSS,
    )
    assert databases.target.values("SELECT name FROM staff") == []
    databases.legacy.run("UPDATE legacy_staff SET age = '60' WHERE id = 1")
    document = replay(databases, capsys)
    assert document["tables"]["staff"] == {
        "rows": 5, "accepted": 4, "skipped": 0, "rejected": 1, "left": 0,
    }  # fmt: skip
    assert databases.target.rows("SELECT name, boss FROM staff ORDER BY 1") == [
        ("Ann", None),
        ("Bob", "Ann"),
        ("Cem", "Bob"),
        ("Eva", "Cem"),
    ]
    assert databases.target.rows(
        "SELECT source_key, reason, attempts, first_attempt FROM migration.migration_errors"
        " WHERE status = 'open'"
    ) == [("4", "missing_parent", 2, 2)]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_many_portions_of_one_family(
    databases: TwoDatabases, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.steps.read_rejected.PORTION", 1)
    monkeypatch.setattr("pipelines.ledger.replay_rows.PORTION", 1)
    children = ", ".join(f"({n}, 'c{n}', '50', 'Ann')" for n in range(11, 31))
    staff(databases, f"(99, 'Ann', '?', NULL), {children}", boss=BOSS)
    databases.legacy.run("UPDATE legacy_staff SET age = '60' WHERE name = 'Ann'")
    assert replay(databases, capsys)["tables"]["staff"]["accepted"] == 21
    assert_ledger_and_sink_agree(databases)
    # Made for so many portions, and a burden to every migration that comes.
    left = "SELECT to_regclass('migration.migration_errors_for_replays')"
    assert databases.target.values(left) == [None]


@pytest.mark.slow
def test_a_reference_that_may_be_missing_is_there_if_its_parent_comes_in(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    fill(databases)
    databases.legacy.run("UPDATE legacy_patients SET mother = 'P2' WHERE id = 3")
    databases.migrate(TABLES)
    databases.legacy.run(MENDED)
    replay(databases, capsys, "--table", "patients")
    assert databases.target.rows("SELECT mother_id FROM patients WHERE patient_id = 'P3'") == [
        ("P2",)
    ]
    assert_ledger_and_sink_agree(databases)


UNSETTLED = (
    "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    "  RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END $$;"
    "CREATE TRIGGER no BEFORE UPDATE OF settled ON migration.migration_loads"
    " FOR EACH ROW WHEN (new.settled) EXECUTE FUNCTION no()"
)
"""Has no load settled."""


@pytest.mark.slow
def test_children_wait_for_parents_that_are_not_settled(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    databases.target.run(UNSETTLED)
    document = replay(databases, capsys, status=3)
    assert {name: t["left"] for name, t in document["tables"].items()} == {
        "diagnoses": 2,
        "patients": 0,
        "visits": 3,
    }
    databases.target.run("DROP TRIGGER no ON migration.migration_loads")
    document = replay(databases, capsys)
    assert {name: t["accepted"] for name, t in document["tables"].items()} == {
        "diagnoses": 2,
        "visits": 3,
    }
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_a_replay_that_is_cut_off_before_it_settles_is_settled_by_the_next(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(databases, "(1, 'Ann', '?', NULL), (2, 'Bob', '50', 'Ann')", boss=BOSS)
    databases.legacy.run("UPDATE legacy_staff SET age = '60' WHERE id = 1")
    databases.target.run(UNSETTLED)
    replay(databases, capsys, status=3)
    assert databases.target.row("SELECT settled FROM migration.migration_loads") == (False,)
    databases.target.run("DROP TRIGGER no ON migration.migration_loads")
    assert replay(databases, capsys)["tables"] == {}
    assert databases.target.rows("SELECT name, boss FROM staff ORDER BY 1") == [
        ("Ann", None),
        ("Bob", "Ann"),
    ]
    assert_ledger_and_sink_agree(databases)


CAUSES = (
    "SELECT e.source_key, w.source_key FROM migration.migration_errors e"
    " LEFT JOIN migration.migration_errors w ON w.id = e.root_cause_id"
    " WHERE e.status = 'open' ORDER BY 1"
)


@pytest.mark.slow
def test_a_loser_follows_from_its_winner_as_long_as_that_is_rejected(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(databases, "(1, 'Ann', '30', NULL), (2, 'Ann', '4x', NULL)")
    assert databases.target.rows(CAUSES) == [("1", "2"), ("2", None)]
    replay(databases, capsys)
    assert databases.target.rows(CAUSES) == [("1", "2"), ("2", None)]
    age = "age: {sql: \"replace(age, 'x', '0')\"}"
    databases.write(STAFF.format(write="insert").replace("age: {from: age}", age))
    document = replay(databases, capsys, "--rule", "age.type")
    # A loser lost whatever becomes of the winner: it isn't one to replay now.
    assert (document["tables"]["staff"]["accepted"], document["freed"]) == (1, {})


LEFT = "SELECT source_key, rule_id FROM migration.migration_errors WHERE status = 'open' ORDER BY 1"


def unsettled(databases: TwoDatabases, capsys: Capsys) -> None:
    """Bob refers to somebody who isn't there, and a replay ends before it has found that out."""
    staff(databases, "(1, 'Ann', '60', NULL), (2, 'Bob', '?', 'Nobody')", boss=BOSS)
    databases.target.run(UNSETTLED)
    replay(databases, capsys, status=3)
    databases.target.run("DROP TRIGGER no ON migration.migration_loads")


@pytest.mark.slow
def test_references_of_an_earlier_attempt_are_forgotten(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    unsettled(databases, capsys)
    databases.legacy.run("UPDATE legacy_staff SET age = '50', boss = 'Ann' WHERE id = 2")
    replay(databases, capsys)
    assert databases.target.rows("SELECT name, boss FROM staff ORDER BY 1") == [
        ("Ann", None),
        ("Bob", "Ann"),
    ]
    assert databases.target.rows(LEFT) == []
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_references_of_discarded_rows_are_forgotten(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    unsettled(databases, capsys)
    run_json(databases, capsys, ["rejects", "discard", "SPEC", "--all", "--reason", "left in 1990"])
    replay(databases, capsys)
    assert databases.target.rows(LEFT) == []
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_what_settling_finds_in_a_replay_counts_its_attempt(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(databases, "(1, 'Ann', '60', NULL), (2, 'Bob', '?', 'Ann')", boss=BOSS)
    databases.legacy.run("UPDATE legacy_staff SET boss = 'Nobody' WHERE id = 2")
    replay(databases, capsys)
    assert databases.target.rows(
        "SELECT rule_id, attempts, first_attempt FROM migration.migration_errors ORDER BY id"
    ) == [("age.type", 2, 1), ("boss.ref", 2, 2)]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_what_an_earlier_replay_left_unsettled_is_not_counted_as_this_ones(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(
        databases,
        "(1, 'Ann', '60', NULL), (2, 'Bob', '?', 'Ann'), (3, 'Cem', '?', NULL)",
        boss=BOSS,
    )
    databases.target.run(UNSETTLED)
    databases.legacy.run("UPDATE legacy_staff SET age = '50', boss = 'Nobody' WHERE id = 2")
    replay(databases, capsys, "--rule", "age.type", status=3)
    databases.target.run("DROP TRIGGER no ON migration.migration_loads")
    databases.legacy.run("UPDATE legacy_staff SET age = '50' WHERE id = 3")
    # Bob, who was written then, is found to refer to nobody only now.
    assert replay(databases, capsys, "--rule", "age.type")["tables"]["staff"] == {
        "rows": 1, "accepted": 1, "skipped": 0, "rejected": 0, "left": 0,
    }  # fmt: skip
    assert databases.target.rows(LEFT) == [("2", "boss.ref")]
    assert_ledger_and_sink_agree(databases)


SETTLE = "SELECT FROM migration.migration_loads WHERE load = 'staff' FOR UPDATE NOWAIT"


@pytest.mark.slow
def test_a_load_is_not_settled_while_rows_of_it_are_committed(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(databases, "(1, 'Ann', '?', NULL), (2, 'Bob', '?', 'Ann')", boss=BOSS)
    databases.legacy.run("UPDATE legacy_staff SET age = '60'")
    with databases.target.another() as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE staff IN SHARE MODE")
        replaying = threading.Thread(target=replay, args=(databases, capsys))
        replaying.start()
        try:
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'staff'::regclass"
            wait_until(lambda: databases.target.rows(waiting))
            with pytest.raises(psycopg.errors.LockNotAvailable):
                databases.target.run(SETTLE)
        finally:
            holder.rollback()
            replaying.join()
    assert databases.target.rows("SELECT name, boss FROM staff ORDER BY 1") == [
        ("Ann", None),
        ("Bob", "Ann"),
    ]


@pytest.mark.slow
def test_what_comes_after_its_load_is_settled_is_not_committed(
    databases: TwoDatabases, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stood still: its references would never be filled in."""
    staff(databases, "(1, 'Ann', '?', NULL), (2, 'Bob', '?', 'Ann')", boss=BOSS)
    databases.legacy.run("UPDATE legacy_staff SET age = '60'")

    read_rejected_keys = ViolationRecords.read_rejected_keys

    def settled_meanwhile(*given: Any) -> list[str]:
        databases.target.run("UPDATE migration.migration_loads SET settled = true")
        return read_rejected_keys(*given)

    with monkeypatch.context() as patch:
        patch.setattr(ViolationRecords, "read_rejected_keys", settled_meanwhile)
        assert run(databases, "rejects", "replay", "SPEC", "--json") == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tables"]["staff"]["left"] == 2
    assert "no worker recorded a reason" in printed.err
    assert databases.target.rows("TABLE staff") == []
    assert replay(databases, capsys)["tables"]["staff"]["accepted"] == 2
    assert databases.target.values("SELECT boss FROM staff WHERE name = 'Bob'") == ["Ann"]
    assert_ledger_and_sink_agree(databases)
