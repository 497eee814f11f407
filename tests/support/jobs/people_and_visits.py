"""A job of three loads and two levels in a dozen partitions, and all that it leaves behind."""

from __future__ import annotations

from tests.support.databases.two_databases import HEADER, Row, TwoDatabases

SMALL = HEADER.replace("attempts: 1, delay: 10ms}}", "attempts: 1, delay: 10ms}, memory: 2MB}")
"""Partitions of 64 KB."""

LEGACY = """
CREATE TABLE people (id int PRIMARY KEY, mother int, name text, sex text);
INSERT INTO people SELECT i, CASE WHEN i % 5 = 0 THEN i + 7 END, repeat('n', 40) || i,
    CASE WHEN i % 97 = 0 THEN '?' ELSE 'F' END FROM generate_series(1, 4000) i;
CREATE TABLE visits (id int, person int, note text);
INSERT INTO visits SELECT i % 5990, i % 4100 + 1, repeat('v', 30) || i
FROM generate_series(1, 6000) i;
"""

TARGET = """
CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mother int REFERENCES people,
    name text, sex char(1));
CREATE TABLE visits (id int PRIMARY KEY, k uuid, person int NOT NULL REFERENCES people, note text);
CREATE TABLE totals (n int PRIMARY KEY, name text);
"""

SPECIFICATION = """
maps: {sex: {values: {F: F, M: M}}}
tables:
  people:
    from: people
    key: [id]
    copy: [id, name]
    fields:
      sex: {from: sex, map: sex}
      mother: {from: mother, ref: people, deferred: true, on_missing: set_null}
  visits:
    from: visits
    key: [id]
    copy: [id, note]
    fields:
      k: {generate: uuid5}
      person: {from: person, ref: people}
  totals:
    from: people
    partition: id
    key: [n]
    copy: [name]
    fields: {n: {generate: sequence}}
"""


def prepare(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)


def content(databases: TwoDatabases) -> dict[str, list[Row]]:
    """Everything that a migration leaves behind, without times and numbers of its own."""
    control = "migration.migration_"
    return {
        "people": databases.target.rows("TABLE people ORDER BY id"),
        "visits": databases.target.rows("TABLE visits ORDER BY id"),
        "totals": databases.target.rows("SELECT name FROM totals ORDER BY name"),
        "numbers": databases.target.rows("SELECT count(DISTINCT n) FROM totals"),
        "keys": databases.target.rows(
            f"SELECT k.load, k.source_key, t.name FROM {control}keys k"
            " LEFT JOIN totals t ON t.n::text = k.target_key ORDER BY 1, 2, 3"
        ),
        "errors": databases.target.rows(
            "SELECT e.load, e.partition_id, e.source_key, e.target_key, e.error_code, e.rule_id,"
            " e.reason, e.field, e.warning, r.source_key AS cause"
            f" FROM {control}errors e LEFT JOIN {control}errors r ON r.id = e.root_cause_id"
            " ORDER BY 1, 2, 3, 4, 5, 6, 7"
        ),
        "ledger": databases.target.rows(
            "SELECT load, partition_id, state, planned_rows, read, candidates, accepted, rejected,"
            " skipped, written, inserted, expanded, placeholders, skipped_by, violations, warnings"
            f" FROM {control}partitions WHERE job_id = 'moved' ORDER BY 1, 2"
        ),
        "following": databases.target.rows(
            "SELECT nextval(pg_get_serial_sequence('people', 'id'))"
        ),
    }
