"""Settings of a database that would change what is written, or let rows pass unchecked."""

from __future__ import annotations

import json

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run

TABLES = """
CREATE TABLE wards (id int PRIMARY KEY);
CREATE TABLE stays (id int PRIMARY KEY, ward int{}, words text[], "date" date);
"""

SPECIFICATION = """
tables:
  wards: {from: wards, key: [id], copy: [id]}
  stays: {from: stays, key: [id], copy: [id, ward, words, date]}
"""

SETTINGS = (
    "array_nulls = off",
    "intervalstyle = sql_standard",
    "datestyle = German",
)


def prepare(databases: TwoDatabases) -> None:
    databases.legacy.run(TABLES.format(""))
    databases.legacy.run(
        "INSERT INTO wards VALUES (1); INSERT INTO stays VALUES"
        " (10, 1, '{NULL,\"NULL\",a}', '2020-01-02'), (11, 2, NULL, NULL)"
    )
    databases.target.run(TABLES.format(" REFERENCES wards"))
    databases.write(SPECIFICATION)


@pytest.mark.slow
def test_settings_of_databases_change_no_value(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases)
    # A library that reads rows doesn't know types by quoted names.
    for database in (databases.legacy, databases.target):
        database.run(f'ALTER DATABASE "{database.name}" SET quote_all_identifiers = on')
    assert run(databases, "migrate", "SPEC", "--json") == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert len(problems) == 2
    for database, problem in zip((databases.legacy, databases.target), problems, strict=True):
        database.run(problem["remedy"])
    for database in (databases.legacy, databases.target):
        for setting in SETTINGS:
            database.run(f'ALTER DATABASE "{database.name}" SET {setting}')
    databases.migrate(SPECIFICATION)
    query = "SELECT words[1] IS NULL, words[2], date::text FROM stays WHERE id = 10"
    assert databases.target.row(query) == (True, "NULL", "2020-01-02")


@pytest.mark.slow
def test_foreign_keys_that_are_not_checked(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases)
    databases.target.run("ALTER TABLE stays DISABLE TRIGGER ALL")
    assert run(databases, "plan", "SPEC", "--json") == 0
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["code"], problem["where"]) == ("TRANS-004", "target, public.stays")
    databases.target.run(problem["remedy"])
    name = databases.target.name
    databases.target.run(f"ALTER DATABASE \"{name}\" SET session_replication_role = 'replica'")
    assert run(databases, "migrate", "SPEC", "--json") == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert "session_replication_role" in problem["message"]
    databases.target.run(f'ALTER DATABASE "{name}" RESET session_replication_role')
    assert run(databases, "migrate", "SPEC") == 0
    assert [e[1:4] for e in databases.errors()] == [("11", "DATA-002", "stays_ward_fkey")]
