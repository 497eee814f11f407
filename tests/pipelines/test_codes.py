"""Codes through a GEM from end to end: what is written, what is rejected, what is recorded."""

from __future__ import annotations

from schemas.errors import ErrorCode, ExitStatus
from tests.pipelines.people_and_visits import SMALL
from tests.pipelines.two_databases import TwoDatabases

TABLES = """
tables:
  conditions:
    from: diagnoses
    key: [id, part]
    copy: [id]
    fields:
      code:
        from: code
        map: icd
        into: {part: cluster_seq, category: category, groups: groups, looked_up: source_code}
"""


def prepare(databases: TwoDatabases, *codes: str) -> None:
    databases.legacy.run("CREATE TABLE diagnoses (id serial PRIMARY KEY, code text)")
    for code in codes:
        databases.legacy.connection.execute("INSERT INTO diagnoses (code) VALUES (%s)", [code])
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text, category text, groups text,"
        " looked_up text, PRIMARY KEY (id, part))"
    )


def test_codes_are_repaired_where_one_alone_can_be_meant(databases: TwoDatabases):
    prepare(databases, "401.9", "40.19", "v12.59", "98.31", "253.2, E23.0", "E88.01", "9831")
    outcome = databases.migrate("maps: {icd: {}}" + TABLES)
    assert databases.target.rows("SELECT id, code, looked_up FROM conditions ORDER BY 1") == [
        (1, "I10", "4019"),
        (2, "I10", "4019"),
        (3, "Z86.79", "V1259"),
    ]
    assert databases.errors("source_key, error_code, rule_id, reason") == [
        ("4", "TRANS-002", "code.map", "ambiguous_code"),
        ("5", "TRANS-002", "code.map", "several_codes"),
        ("6", "TRANS-002", "code.map", "unknown_code"),
        ("7", "TRANS-002", "code.map", "choice"),
    ]
    assert databases.warnings("source_key, error_code, rule_id, reason") == [
        ("2", "DATA-005", "code.map", "repaired_dot"),
        ("3", "DATA-005", "code.map", "repaired_case"),
    ]
    assert outcome.summary.warnings == {"DATA-005": 2}


def test_zeros_are_repaired_where_the_map_says_that_they_are_lost(databases: TwoDatabases):
    prepare(databases, "8.5", "9831", "4019")
    databases.migrate("maps: {icd: {repair: {zeros: true}}}" + TABLES)
    assert databases.target.rows("SELECT id, code, looked_up FROM conditions ORDER BY 1") == [
        (1, "A04.9", "0085"),
        (3, "I10", "4019"),
    ]
    assert databases.errors("source_key, reason") == [("2", "ambiguous_code")]
    assert databases.warnings("source_key, reason") == [("1", "repaired_zero")]


def test_alternatives_are_written_for_a_person_to_choose_from(databases: TwoDatabases):
    prepare(databases, "250.13", "272.4", "250.52", "36570")
    policy = "{choice: keep_source, cluster_choice: expand, no_map: keep_source}"
    databases.migrate(f"maps: {{icd: {{policy: {policy}}}}}" + TABLES)
    rows = databases.target.rows(
        "SELECT id, code, category, groups FROM conditions ORDER BY id, part"
    )
    assert rows[:3] == [
        (1, "E10.10", "cluster", "1.1"),
        (1, "E10.65", "cluster", "1.2"),
        (2, None, "choice", None),
    ]
    assert {row[2] for row in rows if row[0] == 3} == {"cluster_choice"}
    assert {row[3] for row in rows if row[0] == 3} == {"1.1", "1.2"}
    assert rows[-1] == (4, None, "no_map", None)
    assert databases.warnings("source_key, error_code, reason") == [
        ("2", "TRANS-002", "choice"),
        ("4", "TRANS-002", "no_map"),
    ]


OUTDATED = ("25000", "332.0", "276.2")
"""G20 and E87.2 have been divided since; E11.9 is a code still."""


def test_outdated_targets_are_written_with_a_warning_or_rejected(databases: TwoDatabases):
    prepare(databases, *OUTDATED)
    databases.migrate("maps: {icd: {outdated: warn}}" + TABLES)
    assert databases.target.rows("SELECT id, code FROM conditions ORDER BY id") == [
        (1, "E119"),
        (2, "G20"),
        (3, "E87.2"),
    ]
    assert databases.warnings("source_key, error_code, rule_id, reason") == [
        ("2", "DATA-005", "code.map", "outdated_target"),
        ("3", "DATA-005", "code.map", "outdated_target"),
    ]
    databases.target.run("TRUNCATE conditions")
    databases.migrate("maps: {icd: {outdated: reject}}" + TABLES, job="again")
    assert databases.target.rows("SELECT id FROM conditions") == [(1,)]
    assert databases.errors("source_key, error_code, reason") == [
        ("2", "TRANS-002", "outdated_target"),
        ("3", "TRANS-002", "outdated_target"),
    ]


def test_a_release_can_be_named_and_nothing_is_held_against_one_otherwise(databases: TwoDatabases):
    prepare(databases, *OUTDATED)
    databases.migrate("maps: {icd: {}}" + TABLES)
    assert databases.warnings() == []
    databases.target.run("TRUNCATE conditions")
    (databases.folder / "release.txt").write_text("G20 Parkinson\nE87.2 Acidosis\n")
    databases.migrate("maps: {icd: {release: release.txt}}" + TABLES, job="another")
    assert databases.warnings("source_key, reason") == [("1", "outdated_target")]


def test_a_load_goes_on_with_the_release_that_it_was_begun_with(databases: TwoDatabases):
    databases.legacy.run(
        "CREATE TABLE diagnoses AS SELECT i AS id, '4019' AS code, repeat('n', 99) AS note"
        " FROM generate_series(1, 9999) i"
    )
    databases.target.run("CREATE TABLE conditions (id int PRIMARY KEY, note text, code text)")
    release = databases.folder / "release.txt"
    release.write_text("I10\n")
    load = """
maps: {icd: {release: release.txt, outdated: reject}}
tables: {conditions: {from: diagnoses, key: [id], copy: [id, note],
  fields: {code: {from: code, map: icd}}, rules: {R: id > 1}}}
"""
    stopped = SMALL + "errors: {budget: {rejected: 0}}\n"
    databases.migrate(load, header=stopped, expected=ExitStatus.STOPPED)
    release.write_text("I11\n")
    (problem,) = databases.refused(load, SMALL).problems
    assert problem.code is ErrorCode.USER_003
    assert "and the release sha256:" in problem.message
    release.write_text("I10\n")
    databases.migrate(load, header=SMALL)
    assert databases.target.rows("SELECT code, count(*) FROM conditions GROUP BY 1") == [
        ("I10", 9998)
    ]


def test_procedures_and_the_decisions_on_them(databases: TwoDatabases):
    (databases.folder / "gem.txt").write_text(
        "4701  0DTJ4ZZ 10000\n0066  02703ZZ 10000\n0066  02713ZZ 10000\n0016  NoPCS   11000\n"
    )
    prepare(databases, "47.01", "00.66", "0016", "0066")
    databases.target.run(
        "CREATE SCHEMA migration; CREATE TABLE migration.code_mappings (source_system text,"
        " target_system text, source_code text, target_code text);"
        "INSERT INTO migration.code_mappings VALUES ('ICD9Proc', 'ICD10PCS', '0066', '02703ZZ'),"
        " ('ICD9', 'ICD10', '4701', 'of a diagnosis'), ('ICD10PCS', 'ICD9Proc', '0016', 'back')"
    )
    databases.migrate("maps: {icd: {gem: gem.txt, outdated: reject}}" + TABLES)
    assert databases.target.rows("SELECT id, code, category FROM conditions ORDER BY id") == [
        (1, "0DTJ4ZZ", "approximate"),
        (2, "02703ZZ", "site"),
        (4, "02703ZZ", "site"),
    ]
    assert databases.errors("source_key, reason") == [("3", "no_map")]
