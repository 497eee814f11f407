"""The rights that are asked for are enough: what is printed is granted, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.databases.as_role import PASSWORD, ROLE, AsRole
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json

Capture = pytest.CaptureFixture[str]

MORE_LEGACY = """
CREATE TABLE wards (code text PRIMARY KEY, name text); INSERT INTO wards VALUES ('A', 'one');
CREATE TABLE beds (id int PRIMARY KEY, ward text, secret text);
INSERT INTO beds VALUES (1, 'A', 'x'), (2, 'B', 'x'), (3, NULL, 'x');
CREATE SCHEMA "Old Data"; CREATE TABLE "Old Data"."Rooms" ("No" int PRIMARY KEY, size int);
INSERT INTO "Old Data"."Rooms" VALUES (1, 10), (2, 20), (3, 30);
"""

MORE_TARGET = """
CREATE SCHEMA care;
CREATE TABLE care.wards (code text PRIMARY KEY, name text NOT NULL DEFAULT '?', number serial);
CREATE TABLE care.beds (id int PRIMARY KEY, ward text REFERENCES care.wards,
    twin int REFERENCES care.beds);
CREATE SEQUENCE care."Room Numbers";
CREATE TABLE care.rooms (no int PRIMARY KEY DEFAULT nextval('care."Room Numbers"'), size int);
INSERT INTO care.rooms VALUES (1, 1);
CREATE TABLE care.kept (no int PRIMARY KEY, size int, other text); INSERT INTO care.kept VALUES (1);
CREATE TABLE care.keyless (no int, size int);
"""

MORE = """
  wards: {from: wards, into: care.wards, key: [code], copy: [code, name]}
  beds:
    from: beds
    into: care.beds
    key: [id]
    fields:
      id: {from: id}
      ward: {from: ward, ref: wards, on_missing: placeholder}
      twin: {from: id, ref: beds, deferred: true}
  rooms:
    from: {query: 'SELECT "No" AS no, size FROM "Old Data"."Rooms"'}
    into: care.rooms
    source_key: no
    write: upsert
    key: [no]
    copy: [no, size]
  kept:
    from: '"Old Data"."Rooms"'
    into: care.kept
    write: skip_existing
    key: [no]
    fields: {no: {from: No}, size: {from: size}}
  keyless:
    from: '"Old Data"."Rooms"'
    into: care.keyless
    key: [no]
    fields: {no: {from: No}, size: {from: size}}
"""


@pytest.fixture
def by_stranger(databases: TwoDatabases) -> Iterator[AsRole]:
    """A role that may connect, and nothing else."""
    fill(databases)
    databases.legacy.run(MORE_LEGACY)
    databases.target.run(MORE_TARGET)
    databases.target.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    try:
        yield AsRole(databases.legacy, databases.target, databases.folder)
    finally:
        databases.legacy.run(f"DROP OWNED BY {ROLE} CASCADE")
        databases.target.run(f"DROP OWNED BY {ROLE} CASCADE; DROP ROLE {ROLE}")


def grant(databases: TwoDatabases, problems: list[dict[str, str]]) -> None:
    """Does as the problems say."""
    for problem in problems:
        assert problem["code"] == "USER-002", problem
        of_target = problem["where"].startswith("target")
        database = databases.target if of_target else databases.legacy
        database.run(problem["remedy"])


@pytest.mark.slow
@pytest.mark.parametrize("control", ["new", pytest.param("of others", marks=pytest.mark.slow)])
def test_a_role_with_the_rights_that_are_asked_for_completes_a_job(
    by_stranger: AsRole, databases: TwoDatabases, control: str, capsys: Capture
) -> None:
    if control == "of others":
        databases.target.run("CREATE TABLE old_wards (code text)")
        databases.migrate("tables: {old_wards: {from: wards, copy: [code]}}\n", job="before")
    by_stranger.write(TABLES + MORE)
    rounds = 0
    while run(by_stranger, "plan", "SPEC", "--json") == 2:
        problems = json_of(capsys)
        grant(by_stranger, problems)
        rounds += 1
        # A query is refused for one thing after the other.
        assert rounds < 4, problems
    document = run_json(by_stranger, capsys, ["migrate", "SPEC"])
    assert document["state"] == "complete"
    assert document["problems"] == []
    target = by_stranger.target
    assert target.rows("SELECT no, size FROM care.rooms ORDER BY 1") == [(1, 10), (2, 20), (3, 30)]
    assert target.values("INSERT INTO care.rooms (size) VALUES (0) RETURNING no") == [4]
    assert target.row("SELECT count(*) FROM care.beds") == (3,)
    assert not target.row(f"SELECT has_any_column_privilege('{ROLE}', 'care.kept', 'UPDATE')")[0]
    secret = f"SELECT has_column_privilege('{ROLE}', 'beds', 'secret', 'SELECT')"
    assert by_stranger.legacy.row(secret) == (False,)
    assert run(by_stranger, "rejects", "replay", "SPEC") == 0


def json_of(capsys: Capture) -> list[dict[str, str]]:
    import json

    problems: list[dict[str, str]] = json.loads(capsys.readouterr().out)["problems"]
    return problems
