"""References of a table to itself that the target refuses when they are filled in."""

from __future__ import annotations

import pytest

from tests.support.databases.as_role import as_role
from tests.support.databases.two_databases import TwoDatabases

DEFERRED = """
tables:
  staff:
    from: staff
    key: id
    copy: [id]
    write: %s
    fields: {boss: {from: boss, ref: staff, deferred: true, on_missing: %s}}
  badges: {from: badges, key: id, copy: [id], fields: {owner: {from: owner, ref: staff}}}
"""
REFUSING = {
    "check": (
        "ALTER TABLE staff ADD CONSTRAINT not_ten CHECK (boss <> 10)",
        ("TRANS-004", "not_ten", "check_violation"),
    ),
    "unique": (
        "INSERT INTO staff VALUES (500, NULL);"
        "CREATE UNIQUE INDEX one_each ON staff"
        " ((CASE WHEN boss = 10 OR id = 500 THEN 'the same' END))",
        ("DATA-004", "one_each", "unique_violation"),
    ),
    "foreign_key": (
        "CREATE TABLE elsewhere (id int PRIMARY KEY);"
        "INSERT INTO elsewhere SELECT generate_series(1, 14) EXCEPT SELECT 10;"
        "ALTER TABLE staff ADD CONSTRAINT also_elsewhere FOREIGN KEY (boss) REFERENCES elsewhere",
        ("DATA-002", "also_elsewhere", "foreign_key_violation"),
    ),
    "trigger": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.boss = 10 THEN RAISE 'boss of %: %', NEW.id, NEW.boss; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION refuse()",
        ("TRANS-004", "target.trigger", "trigger"),
    ),
    "silent trigger": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.boss = 10 THEN RETURN NULL; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION refuse()",
        ("TRANS-004", "target.dropped_by_target", "dropped_by_target"),
    ),
}


def refused(databases: TwoDatabases, how: str) -> None:
    """10 is the boss of 11, which is the boss of 12 to 14; every other one has the one before."""
    databases.legacy.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int);"
        "INSERT INTO staff SELECT i, nullif(i - 1, 0) FROM generate_series(1, 10) i;"
        "INSERT INTO staff VALUES (11, 10), (12, 11), (13, NULL), (14, 12), (99, NULL);"
        "CREATE TABLE badges (id int PRIMARY KEY, owner int);"
        "INSERT INTO badges SELECT id, id FROM staff"
    )
    databases.target.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff);"
        "CREATE TABLE badges (id int PRIMARY KEY, owner int NOT NULL REFERENCES staff)"
    )
    databases.target.run(REFUSING[how][0])


def assert_taken_out(databases: TwoDatabases, how: str) -> None:
    """The row that is refused and what follows from it, with its cause."""
    code, rule, reason = REFUSING[how][1]
    summary = databases.migrate(DEFERRED % ("insert", "reject")).summary
    assert sorted(databases.errors("source_key, error_code, rule_id, reason")) == sorted(
        [("11", code, rule, reason)]
        + [(key, "DATA-002", "boss.ref", "parent_rejected") for key in ("12", "14")]
        + [(key, "DATA-002", "owner.ref", "parent_rejected") for key in ("11", "12", "14")]
    )
    (refused,) = databases.target.values(
        "SELECT id FROM migration.migration_errors WHERE load = 'staff' AND source_key = '11'"
    )
    assert databases.target.values(
        "SELECT root_cause_id FROM migration.migration_errors WHERE source_key = '12'"
        " AND load = 'staff'"
    ) == [refused]
    assert summary.tables["staff"].rejected == summary.tables["badges"].rejected == 3
    databases.assert_same_rows(
        "SELECT id, boss FROM staff WHERE id NOT IN (11, 12, 14)",
        "SELECT id, boss FROM staff WHERE id < 500",
    )
    assert databases.migrate(DEFERRED % ("insert", "reject")).already


@pytest.mark.slow
@pytest.mark.parametrize("how", REFUSING)
def test_a_row_whose_deferred_reference_the_target_refuses(
    databases: TwoDatabases, how: str
) -> None:
    refused(databases, how)
    assert_taken_out(databases, how)


def test_the_only_deferred_reference_is_refused(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int);"
        "INSERT INTO staff VALUES (1, NULL), (2, 1);"
        "CREATE TABLE badges (id int PRIMARY KEY, owner int); INSERT INTO badges VALUES (1, 1)"
    )
    databases.target.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff);"
        "CREATE TABLE badges (id int PRIMARY KEY, owner int NOT NULL REFERENCES staff);"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE SQLSTATE ''XX000''; END';"
        "CREATE TRIGGER refuse BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    databases.migrate(DEFERRED % ("insert", "reject"))
    assert databases.errors() == [("staff", "2", "TRANS-004", "target.XX000", "XX000")]
    assert databases.target.rows("SELECT * FROM staff") == [(1, None)]


def test_a_role_that_may_make_no_temporary_tables(databases: TwoDatabases) -> None:
    refused(databases, "check")
    databases.target.run(
        f"REVOKE TEMPORARY ON DATABASE {databases.target.name} FROM PUBLIC;"
        "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC"
    )
    with as_role(databases) as by_role:
        assert_taken_out(by_role, "check")
        tables = "SELECT relname FROM pg_class WHERE relname LIKE 'transfuse%'"
        assert by_role.target.values(tables) == []


def test_an_upsert_keeps_a_row_whose_deferred_reference_is_refused(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int);"
        "INSERT INTO staff VALUES (1, NULL), (2, 1), (10, 1), (11, 10);"
        "CREATE TABLE badges (id int, owner int)"
    )
    databases.target.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff CHECK (boss <> 10));"
        "CREATE TABLE badges (id int PRIMARY KEY, owner int);"
        "INSERT INTO staff VALUES (11, NULL), (1, 11)"
    )
    summary = databases.migrate(DEFERRED % ("upsert", "allow")).summary
    assert databases.errors() == []
    assert databases.warnings("source_key, error_code, rule_id") == [
        ("11", "TRANS-004", "staff_boss_check")
    ]
    assert summary.tables["staff"].accepted == 4
    databases.assert_same_rows(
        "SELECT id, nullif(boss, 10) FROM staff", "SELECT id, boss FROM staff"
    )


def test_an_upsert_that_would_have_to_be_taken_back(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int); CREATE TABLE badges (id int, owner int)"
    )
    databases.target.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int); CREATE TABLE badges (id int, owner int)"
    )
    (problem,) = databases.refused(DEFERRED % ("upsert", "reject")).problems
    assert "can't be taken back in the second pass" in problem.message
    assert "tables.staff.fields.boss.on_missing" in problem.where
