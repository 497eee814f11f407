"""Sources of which the role may select some columns only, as views for a migration often are."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.databases.two_databases import HEADER, TwoDatabases

pytestmark = pytest.mark.slow


RELATIONS = ("people", "people_seen", "people_kept", "people_parted")

LEGACY = """
CREATE TABLE people (id int PRIMARY KEY, ssn text UNIQUE, name text);
INSERT INTO people SELECT i, 'secret' || i, 'n' || i % 7 FROM generate_series(1, 3000) i;
CREATE VIEW people_seen AS SELECT * FROM people;
CREATE MATERIALIZED VIEW people_kept AS SELECT * FROM people;
CREATE TABLE people_parted (id int, ssn text, name text) PARTITION BY RANGE (id);
CREATE TABLE p_low PARTITION OF people_parted FOR VALUES FROM (MINVALUE) TO (1000);
CREATE TABLE p_high PARTITION OF people_parted FOR VALUES FROM (1000) TO (MAXVALUE);
INSERT INTO people_parted SELECT * FROM people;
"""


@pytest.fixture
def header(databases: TwoDatabases) -> Iterator[str]:
    """The start of a specification whose source is read by a role of few rights."""
    databases.legacy.run(LEGACY)
    reader = f"reader_{os.getpid()}"
    databases.legacy.run(f"CREATE ROLE {reader} LOGIN")
    for relation in RELATIONS:
        databases.legacy.run(f"GRANT SELECT (id, name) ON {relation} TO {reader}")
    databases.target.run("CREATE TABLE people (id int PRIMARY KEY, name text, ssn text)")
    url = databases.legacy.url.replace("postgres@", reader + "@")
    yield HEADER.replace("${LEGACY_URL}", url).replace("{retry:", "{memory: 20MB, retry:")
    databases.legacy.run(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


@pytest.mark.parametrize("relation", RELATIONS)
def test_columns_that_may_be_selected_are_enough(
    databases: TwoDatabases, header: str, relation: str
) -> None:
    load = f"tables: {{people: {{from: {relation}, key: [id], copy: [id, name]}}}}\n"
    databases.migrate(load, header=header)
    databases.assert_same_rows("SELECT id, name FROM people", "SELECT id, name FROM people")


def test_duplicates_have_their_winner(databases: TwoDatabases, header: str) -> None:
    load = "tables: {people: {from: people, key: [name], copy: [name, id]}}\n"
    outcome = databases.migrate(load, header=header)
    assert outcome.summary.violations == {"DATA-004": 2993}


def test_a_column_that_may_not_be_selected(databases: TwoDatabases, header: str) -> None:
    error = databases.refused(
        "tables: {people: {from: people_seen, key: [id], copy: [id, ssn]}}\n", header
    )
    (problem,) = error.problems
    assert problem.code.value == "USER-002"
    assert problem.where == "source, public.people_seen"
    assert problem.remedy.startswith("GRANT SELECT (ssn) ON public.people_seen TO reader_")
