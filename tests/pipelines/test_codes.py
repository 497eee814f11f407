"""Codes through a GEM from end to end: what is written, what is rejected, what is recorded."""

from __future__ import annotations

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
