"""Rows that a role doesn't get to see are never taken for rows that aren't there."""

from __future__ import annotations

import pytest

from tests.support.databases.as_role import ROLE, as_role
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run, run_json

Capture = pytest.CaptureFixture[str]

POLICIES = """
ALTER TABLE people ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_ward ON people USING (ward = current_user);
"""


@pytest.mark.slow
def test_hidden_rows_are_not_gone_when_they_are_replayed(
    databases: TwoDatabases, capsys: Capture
) -> None:
    databases.legacy.run(
        "CREATE TABLE people (id int PRIMARY KEY, ward text);"
        f"INSERT INTO people SELECT i, CASE WHEN i < 4 THEN '{ROLE}' ELSE 'w' END"
        " FROM generate_series(1, 10) i"
    )
    databases.target.run("CREATE TABLE people (id int PRIMARY KEY, ward text)")
    load = "tables: {people: {from: people, key: [id], copy: [id, ward], rules: {R: 'id < 0'}}}\n"
    with as_role(databases) as by_role:
        by_role.migrate(load)
        databases.legacy.run(POLICIES)
        by_role.write(load.replace("id < 0", "id > 0"))
        document = run_json(by_role, capsys, ["rejects", "replay", "SPEC"], status=2)
        assert [(p["code"], p["where"]) for p in document["problems"]] == [
            ("USER-002", "source, public.people")
        ]
        errors = "SELECT status, attempts, count(*) FROM migration.migration_errors GROUP BY 1, 2"
        assert databases.target.rows(errors) == [("open", 1, 10)]
        # The remedy works as it is printed.
        databases.legacy.run(document["problems"][0]["remedy"])
        assert run(by_role, "rejects", "replay", "SPEC") == 0
        assert databases.target.values("SELECT count(*) FROM people") == [10]


@pytest.mark.slow
def test_functions_that_turn_row_security_on_again(
    databases: TwoDatabases, capsys: Capture
) -> None:
    """Policies would hide rows that such a function reads, though the session has them off."""
    databases.legacy.run(
        "CREATE TABLE people (id int PRIMARY KEY, ward text);"
        f"INSERT INTO people SELECT i, CASE WHEN i < 4 THEN '{ROLE}' ELSE 'w' END"
        " FROM generate_series(1, 10) i;"
        f"{POLICIES}"
        "CREATE FUNCTION seen() RETURNS SETOF people LANGUAGE sql STABLE SET row_security = on"
        " AS 'SELECT * FROM people';"
        "CREATE FUNCTION passed_on() RETURNS SETOF people LANGUAGE plpgsql STABLE"
        " AS 'BEGIN RETURN QUERY SELECT * FROM seen(); END';"
        "CREATE VIEW shown AS SELECT * FROM passed_on();"
    )
    databases.target.run(
        "CREATE TABLE one (id int PRIMARY KEY, ward text); CREATE TABLE two (LIKE one)"
    )
    specification = """
tables:
  one: {from: shown, source_key: [id], key: [id], copy: [id, ward]}
  two: {from: {query: "SELECT * FROM seen()"}, source_key: [id], copy: [id, ward]}
"""
    with as_role(databases) as by_role:
        by_role.write(specification)
        document = run_json(by_role, capsys, ["migrate", "SPEC"], status=2)
        assert [(p["code"], p["where"], p["remedy"]) for p in document["problems"]] == [
            ("USER-002", "source, public.shown", f"ALTER ROLE {ROLE} BYPASSRLS;"),
            ("USER-002", "source, query of two", f"ALTER ROLE {ROLE} BYPASSRLS;"),
        ]
        databases.legacy.run(document["problems"][0]["remedy"])
        assert run(by_role, "migrate", "SPEC") == 0
    assert databases.target.row("SELECT count(*) FROM one") == (10,)
    assert databases.target.row("SELECT count(*) FROM two") == (10,)
