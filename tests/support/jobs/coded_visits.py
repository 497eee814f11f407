"""A job with what is decided across rows: duplicates in an order, skips, a rule over several rows,
codes by a GEM, generated keys and references, in many partitions."""

from __future__ import annotations

from tests.support.databases.two_databases import Row, TwoDatabases

LEGACY = """
CREATE TABLE patients (no int PRIMARY KEY, mrn text, name text, seen date, gone bool);
INSERT INTO patients SELECT i, 'M' || i % 2400, repeat('n', 40) || i % 2000,
    date '2020-01-01' + i * 37 % 900, i % 50 = 0 FROM generate_series(1, 3000) i;
CREATE TABLE visits (no int PRIMARY KEY, mrn text, note text);
INSERT INTO visits SELECT i, 'M' || i % 2600, repeat('v', 40) || i FROM generate_series(1, 3000) i;
CREATE TABLE diagnoses (no int PRIMARY KEY, visit int, code text, note text);
INSERT INTO diagnoses SELECT i, i % 3100 + 1,
    (ARRAY['250.00', '401.9', '999.99', '250.0', 'V99'])[i % 5 + 1], repeat('d', 40) || i
FROM generate_series(1, 3000) i;
"""

TARGET = """
CREATE TABLE patients (mrn text PRIMARY KEY, name text, seen date);
CREATE TABLE visits (id bigint PRIMARY KEY, no int, mrn text REFERENCES patients, note text);
CREATE TABLE diagnoses (no int PRIMARY KEY, visit bigint REFERENCES visits, code text, note text);
"""

DECISIONS = """
CREATE SCHEMA migration;
CREATE TABLE migration.code_mappings
    (source_system text, target_system text, source_code text, target_code text);
INSERT INTO migration.code_mappings VALUES ('ICD9CM', 'ICD10CM', '250.0', 'I10');
"""
"""A table of the site's own, without the columns that Transfuse's has besides."""

GEM = "25000 E119    10000\n4019  I10     10000\n99999 NoDx    11000\n"

SPECIFICATION = """
maps: {icd: {gem: gem.txt, policy: {no_map: keep_source}}}
tables:
  patients:
    from: patients
    key: [mrn]
    duplicates: {keep: last, order: [seen]}
    skip: {GONE: gone}
    copy: [mrn, name, seen]
    rules: {one_record: {use: one_value_per, by: name, fields: mrn}}
  visits:
    from: visits
    source_key: [no]
    key: [id]
    copy: [no, note]
    fields:
      id: {generate: sequence}
      mrn: {from: mrn, ref: patients}
  diagnoses:
    from: diagnoses
    key: [no]
    copy: [no, note]
    fields:
      visit: {from: visit, ref: visits}
      code: {from: code, map: icd}
"""


def prepare(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    databases.target.run(DECISIONS)
    (databases.folder / "gem.txt").write_text(GEM, encoding="ascii")


def content(databases: TwoDatabases) -> dict[str, list[Row]]:
    """Everything that the job leaves behind, without times and numbers of its own."""
    control = "migration.migration_"
    return {
        "patients": databases.target.rows("TABLE patients ORDER BY mrn"),
        "visits": databases.target.rows("SELECT no, mrn, note FROM visits ORDER BY no"),
        "diagnoses": databases.target.rows(
            "SELECT d.no, v.no, code, d.note FROM diagnoses d JOIN visits v ON v.id = visit"
            " ORDER BY 1"
        ),
        "keys": databases.target.rows(f"SELECT load, source_key FROM {control}keys ORDER BY 1, 2"),
        "losers": databases.target.rows(
            "SELECT load, partition_id, ordinal, source_key, claim, winner_key, key_digest, place,"
            f" released FROM {control}duplicates ORDER BY 1, 2, 3"
        ),
        "groups": databases.target.rows(
            f"SELECT load, partition_id, ordinal, rule, claim FROM {control}group_findings"
            " ORDER BY 1, 2, 3, 4"
        ),
        "errors": databases.target.rows(
            "SELECT e.load, e.partition_id, e.source_key, e.error_code, e.rule_id, e.reason,"
            " e.field, e.warning, r.source_key AS cause"
            f" FROM {control}errors e LEFT JOIN {control}errors r ON r.id = e.root_cause_id"
            " ORDER BY 1, 2, 3, 4, 5, 6, 7"
        ),
        "ledger": databases.target.rows(
            "SELECT load, partition_id, state, planned_rows, read, candidates, accepted, rejected,"
            " skipped, written, inserted, expanded, placeholders, skipped_by, violations, warnings"
            f" FROM {control}partitions ORDER BY 1, 2"
        ),
    }
