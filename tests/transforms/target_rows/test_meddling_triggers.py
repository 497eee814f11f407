"""Triggers that take rows of ours, give them other keys or change settings, with counts intact."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run_json

Capsys = pytest.CaptureFixture[str]

LEGACY = """
CREATE TABLE ten (id int PRIMARY KEY, at text, parent int);
INSERT INTO ten SELECT i, '2020-06-01 12:00:00', CASE WHEN i < 9 THEN 1 ELSE 99 END
FROM generate_series(1, 10) i;
"""

_TRIGGERS = {
    # table: (moment and condition, body)
    "swapping": (
        "AFTER INSERT",
        "new.id IN (5, 10)",
        "DELETE FROM swapping WHERE id = new.id; INSERT INTO swapping VALUES (new.id + 1000);",
    ),
    "taking": (
        "AFTER INSERT",
        "new.id = 7",
        "DELETE FROM taking WHERE id IN (2, 77); INSERT INTO taking VALUES (2000), (2001);",
    ),
    "keyless": (
        "AFTER INSERT",
        "new.id = 6",
        "DELETE FROM keyless WHERE id = 6; INSERT INTO keyless VALUES (2000);",
    ),
    "other": (
        "AFTER INSERT",
        "new.id = 1",
        "DELETE FROM taking WHERE id = 3; INSERT INTO taking VALUES (3000);",
    ),
    "renamed": ("BEFORE INSERT", "new.id = 3", "new.id := 300;"),
    "later": ("AFTER INSERT", "new.id = 4", "UPDATE later SET id = 400 WHERE id = 4;"),
    "updated": ("BEFORE INSERT", "new.id = 5", "new.id := 500;"),
    "moved": ("BEFORE UPDATE", "new.id = 6", "new.id := 600;"),
    "skipped": ("BEFORE INSERT", "new.id IN (8, 9)", "new.id := 10 * new.id;"),
    "set": (
        "BEFORE INSERT",
        "new.id IN (1, 2)",
        "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'; SET search_path = nowhere;"
        " IF new.id = 2 THEN SET session_replication_role = replica; END IF;",
    ),
    "settled": (
        "AFTER UPDATE",
        "new.id = 4",
        "DELETE FROM settled WHERE id = 8; INSERT INTO settled VALUES (800);",
    ),
    "adopting": (
        "AFTER INSERT",
        "new.id = 99",
        "DELETE FROM adopting WHERE id = 3; INSERT INTO adopting VALUES (3000);",
    ),
    "honest": (
        "AFTER INSERT",
        "true",
        "UPDATE honest SET note = 'seen' WHERE id = new.id;"
        " DELETE FROM outside; INSERT INTO outside VALUES (new.id);",
    ),
}  # fmt: skip

TARGET = """
CREATE TABLE swapping (id int PRIMARY KEY); CREATE TABLE taking (id int PRIMARY KEY);
CREATE TABLE keyless (id int); CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE renamed (id int PRIMARY KEY); CREATE TABLE later (id int PRIMARY KEY);
CREATE TABLE updated (id int PRIMARY KEY, at text); INSERT INTO updated VALUES (500, 'old');
CREATE TABLE moved (id int PRIMARY KEY, at text); INSERT INTO moved VALUES (6, 'old');
CREATE TABLE skipped (id int PRIMARY KEY, at text); INSERT INTO skipped VALUES (8), (9), (10), (90);
CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents VALUES (1);
CREATE TABLE set (id int PRIMARY KEY, parent int REFERENCES parents);
CREATE TABLE after_set (id int PRIMARY KEY, at timestamptz);
CREATE TABLE settled (id int PRIMARY KEY, parent int REFERENCES settled);
CREATE TABLE adopting (id int PRIMARY KEY);
CREATE TABLE adopted (id int PRIMARY KEY, parent int REFERENCES adopting);
CREATE TABLE honest (id int PRIMARY KEY, note text); CREATE TABLE outside (id int);
""" + "".join(
    f"CREATE FUNCTION of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    f" IF {condition} THEN {body} END IF; RETURN new; END $$;"
    f"CREATE TRIGGER meddles {moment} ON {table} FOR EACH ROW EXECUTE FUNCTION of_{table}();"
    for table, (moment, condition, body) in _TRIGGERS.items()
)

SPECIFICATION = """
tables:
  swapping: {from: ten, key: [id], copy: [id]}
  taking: {from: ten, key: [id], copy: [id]}
  keyless: {from: ten, source_key: [id], copy: [id]}
  other: {from: ten, key: [id], fields: {id: {from: id, ref: taking}}}
  renamed: {from: ten, key: [id], copy: [id]}
  later: {from: ten, key: [id], copy: [id]}
  updated: {from: ten, key: [id], copy: [id, at], write: upsert}
  moved: {from: ten, key: [id], copy: [id, at], write: upsert}
  skipped: {from: ten, key: [id], copy: [id, at], write: skip_existing}
  set: {from: ten, key: [id], copy: [id, parent]}
  after_set:
    from: ten
    key: [id]
    fields:
      id: {from: id, ref: set}
      at: {from: at, type: timestamptz, format: "%Y-%m-%d %H:%M:%S", zone: UTC}
  settled:
    from: {query: "SELECT id, 1 AS parent FROM ten"}
    source_key: [id]
    key: [id]
    copy: [id]
    fields: {parent: {from: parent, ref: settled, deferred: true}}
  adopting: {from: ten, key: [id], copy: [id]}
  adopted:
    from: {query: "SELECT id, CASE WHEN id < 9 THEN id ELSE 89 + id END AS parent FROM ten"}
    source_key: [id]
    key: [id]
    copy: [id]
    fields: {parent: {from: parent, ref: adopting, on_missing: placeholder}}
  honest: {from: ten, key: [id], copy: [id]}
"""

HEADER = """
job: moved
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {retry: {attempts: 1, delay: 10ms}, connections: {target: 1}}
"""


STATEMENT = """
CREATE TABLE moved (id int PRIMARY KEY); INSERT INTO moved VALUES (77);
CREATE FUNCTION takes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF pg_trigger_depth() = 1 THEN
        DELETE FROM moved WHERE id = 77; INSERT INTO moved VALUES (78);
    END IF;
    RETURN NULL; END $$;
CREATE TRIGGER takes BEFORE INSERT ON moved EXECUTE FUNCTION takes();
"""


def rejected(databases: TwoDatabases) -> dict[str, list[tuple[Any, ...]]]:
    rows = databases.target.rows(
        "SELECT load, source_key::int, reason FROM migration.migration_errors"
        " WHERE NOT warning ORDER BY 1, 2"
    )
    loads: dict[str, list[tuple[Any, ...]]] = {}
    for load, *rest in rows:
        loads.setdefault(load, []).append(tuple(rest))
    return loads


def test_triggers_that_take_or_rename_rows(databases: TwoDatabases, capsys: Capsys) -> None:
    """The row that sets such a trigger off is rejected, what it did is undone, others are whole."""
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    databases.write(SPECIFICATION, HEADER)
    summary = run_json(databases, capsys, ["migrate", "SPEC"])
    dropped, renamed = "dropped_by_target", "key_changed_by_target"
    reasons = rejected(databases)
    assert [key for key, _ in reasons.pop("after_set")] == [2, 9, 10]
    assert reasons == {
        "swapping": [(5, dropped), (10, dropped)],
        "taking": [(7, dropped)],
        "keyless": [(6, dropped)],
        "other": [(1, dropped), (7, "parent_rejected")],
        "renamed": [(3, renamed)],
        "later": [(4, renamed)],
        "updated": [(5, renamed)],
        "moved": [(6, renamed)],
        "skipped": [(8, renamed), (9, renamed)],
        "settled": [(4, dropped)],
        "adopted": [(10, "missing_parent")],
        "set": [(2, "settings_changed_by_target"), (9, "foreign_key_violation"),
                (10, "foreign_key_violation")],
    }  # fmt: skip
    keys = {
        table: databases.target.values(f"SELECT id FROM {table} ORDER BY 1")
        for table in summary["tables"]
    }
    ten = set(range(1, 11))
    assert {table: ten - set(found) for table, found in keys.items() if ten - set(found)} == {
        "swapping": {5, 10}, "taking": {7}, "keyless": {6}, "other": {1, 7}, "renamed": {3},
        "later": {4}, "updated": {5}, "settled": {4}, "adopted": {10},
         "set": {2, 9, 10}, "after_set": {2, 9, 10},
    }  # fmt: skip
    assert {table: set(found) - ten for table, found in keys.items() if set(found) - ten} == {
        "updated": {500}, "skipped": {90}, "adopting": {98},
    }  # fmt: skip
    assert databases.target.row("SELECT at FROM updated WHERE id = 500") == ("old",)
    assert databases.target.row("SELECT at FROM moved WHERE id = 6") == ("old",)
    assert summary["tables"]["skipped"]["skipped"] == 1
    assert databases.target.values("SELECT DISTINCT at::text FROM after_set") == [
        "2020-06-01 12:00:00+00"
    ]
    assert databases.target.values("SELECT DISTINCT note FROM honest") == ["seen"]


@pytest.mark.slow
def test_a_trigger_of_the_statement_that_takes_rows(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    """No row is at fault: the partition fails, and passes once the trigger is off."""
    databases.legacy.run(LEGACY)
    databases.target.run(STATEMENT)
    databases.write("tables: {moved: {from: ten, key: [id], copy: [id]}}", HEADER)
    document = run_json(databases, capsys, ["migrate", "SPEC"], 3)
    (problem,) = [p for p in document["problems"] if p["code"] == "SYS-004"]
    assert "a trigger of the statement" in problem["message"]
    assert databases.target.values("SELECT id FROM moved") == [77]
    (disabled,) = [p["remedy"] for p in document["problems"] if p["code"] == "TRANS-004"]
    databases.target.run(disabled.partition(": ")[2])
    document = run_json(databases, capsys, ["migrate", "SPEC"])
    assert document["tables"]["moved"]["written"] == 10
