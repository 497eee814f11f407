"""Rules over several rows of a load: found over all partitions, and warned of."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import ExitStatus
from tests.support.databases.two_databases import SMALL_PARTITIONS, TwoDatabases
from tests.support.jobs.small_hospital import run_json

Capsys = pytest.CaptureFixture[str]

SPECIFICATION = """
tables:
  people:
    from: legacy_people
    key: [id]
    skip: {TEST: "name = 'Test'"}
    fields:
      id: {from: id}
      mrn: {from: mrn}
      birth_date: {from: born, type: date}
      sex: {from: sex}
      name: {from: name, transform: trim}
    rules:
      use: [one_value_per]
      SENT_TWICE: {use: no_repeated_row, fields: [mrn, birth_date, sex, name]}
  diagnoses:
    from: legacy_diagnoses
    key: [visit, rank, id]
    copy: [id, visit, rank]
    rules:
      use: {no_gaps: {by: visit}}
      FROM_0: {use: no_gaps, by: [visit], first: 0}
"""


def people(databases: TwoDatabases, rows: str) -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_people (id int PRIMARY KEY, mrn text, born text, sex text, name text);"
        f"INSERT INTO legacy_people {rows};"
        "CREATE TABLE legacy_diagnoses (id int PRIMARY KEY, visit int, rank text)"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY, mrn text, birth_date date, sex text, name text);"
        "CREATE TABLE diagnoses (id int, visit int, rank int, PRIMARY KEY (visit, rank, id))"
    )


def warned(databases: TwoDatabases, rule: str) -> list[str]:
    return databases.target.values(
        f"SELECT source_key FROM migration.migration_errors WHERE rule_id = '{rule}' AND warning"
        " AND error_code = 'DATA-005' ORDER BY source_key::int"
    )


def test_rows_of_one_number_that_contradict_each_other(databases: TwoDatabases) -> None:
    people(
        databases,
        "VALUES (1, 'A', '1980-01-01', 'F', 'Ann'), (2, 'A', '1980-01-01', 'M', 'Ann'),"
        " (3, 'A', '1980-01-01', 'F', 'Ann'),"  # one says M
        " (4, 'B', '1980-01-01', 'F', 'Bea'), (5, 'B', NULL, NULL, 'Bea'),"  # unknown
        " (6, 'C', '1980-01-01', 'F', 'Cat'), (7, 'C', '30.2.1980', 'F', 'Cat'),"  # no date
        " (8, 'D', '1980-01-01', 'F', 'Dan'), (9, 'D', '1981-01-01', 'F', 'Test'),"  # skipped
        " (10, NULL, '1980-01-01', 'F', 'x'), (11, NULL, '1990-01-01', 'F', 'x'),"  # no number
        " (12, 'E', '1980-01-01', 'F', 'Eva'), (13, 'E', '1981-01-01', 'F', 'Eva')",
    )
    outcome = databases.migrate(SPECIFICATION)
    assert warned(databases, "one_value_per") == ["1", "2", "3", "12", "13"]
    assert outcome.summary.warnings == {"DATA-005": 6}
    people_ = outcome.summary.tables["people"]
    # A warning keeps nobody out.
    assert (people_.accepted, people_.rejected, people_.skipped) == (11, 1, 1)
    assert databases.target.values(
        "SELECT DISTINCT reason FROM migration.migration_errors WHERE rule_id = 'one_value_per'"
    ) == ["conflicting_values"]


@pytest.mark.slow
def test_rows_that_say_the_same(databases: TwoDatabases) -> None:
    people(
        databases,
        "VALUES (1, 'A', '1980-01-01', 'F', 'Ann'), (2, 'A', '1980-01-01', 'F', ' Ann '),"
        " (3, 'A', '1980-01-01', 'F', 'Anna'), (4, 'A', NULL, NULL, NULL), (5, 'A', NULL, NULL,"
        " NULL), (6, NULL, NULL, NULL, NULL), (7, 'A', '1980-01-01', 'F', 'Ann')",
    )
    databases.migrate(SPECIFICATION)
    assert warned(databases, "SENT_TWICE") == ["2", "5", "7"]


def test_gaps_in_numbers(databases: TwoDatabases) -> None:
    people(databases, "SELECT 1 WHERE false")
    databases.legacy.run(
        "INSERT INTO legacy_diagnoses VALUES"
        " (1, 10, '3'), (2, 10, '1'), (3, 10, '2'),"  # complete
        " (4, 11, '1'), (5, 11, '3'), (6, 11, '4'), (7, 11, '9'),"  # 2, and 5 to 8
        " (8, 12, '2'),"  # 1
        " (9, 13, '1'), (10, 13, '1'), (11, 13, '2'),"  # repeated, not missing
        " (12, 14, 'x'), (13, 14, '1'),"  # no number at all
        " (14, 15, '0'), (15, 15, '1')"
    )
    databases.migrate(SPECIFICATION)
    assert warned(databases, "no_gaps") == ["5", "7", "8"]
    assert warned(databases, "FROM_0") == ["2", "4", "5", "7", "8", "9", "13"]


def many(databases: TwoDatabases) -> None:
    """Rows in many partitions, of which each number has two that are far from each other."""
    people(
        databases,
        "SELECT i, 'M' || i % 2000, '1980-01-01', CASE WHEN i % 2000 % 50 = 7 AND i > 2000"
        " THEN 'M' ELSE 'F' END, repeat('n', 60) || i FROM generate_series(1, 4000) i",
    )


@pytest.mark.slow
def test_over_all_partitions(databases: TwoDatabases) -> None:
    many(databases)
    outcome = databases.migrate(SPECIFICATION, header=SMALL_PARTITIONS)
    assert outcome.summary.tables["people"].partitions > 3
    expected = sorted(i for i in range(1, 4001) if i % 2000 % 50 == 7)
    assert list(map(int, warned(databases, "one_value_per"))) == expected


@pytest.mark.slow
def test_a_run_that_is_continued_decides_nothing_again(databases: TwoDatabases) -> None:
    many(databases)
    databases.target.fill_up("people", "new.id = 3990")
    databases.migrate(SPECIFICATION, header=SMALL_PARTITIONS, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("people")
    findings = databases.target.rows(
        "SELECT partition_id, ordinal, claim, xmin::text FROM migration.migration_group_findings"
        " ORDER BY 1, 2"
    )
    assert len(findings) == 80
    databases.migrate(SPECIFICATION, header=SMALL_PARTITIONS)
    assert len(warned(databases, "one_value_per")) == 80
    assert findings == databases.target.rows(
        "SELECT partition_id, ordinal, claim, xmin::text FROM migration.migration_group_findings"
        " ORDER BY 1, 2"
    )


@pytest.mark.slow
def test_a_changed_rule_over_several_rows_is_refused(databases: TwoDatabases) -> None:
    many(databases)
    databases.target.fill_up("people", "new.id = 3990")
    databases.migrate(SPECIFICATION, header=SMALL_PARTITIONS, expected=ExitStatus.INCOMPLETE)
    error = databases.refused(
        SPECIFICATION.replace("fields: [mrn, birth_date, sex, name]", "fields: [mrn]"),
        SMALL_PARTITIONS,
    )
    (problem,) = error.problems
    assert (problem.code.value, "--accept-changes" in problem.remedy) == ("USER-003", False)


@pytest.mark.slow
def test_replayed_rows_are_warned_of_as_long_as_they_say_the_same(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    people(
        databases,
        "VALUES (1, 'A', '1980-01-01', 'F', 'Ann'), (2, 'A', '1980-01-01', 'M', 'Ann'),"
        " (3, 'B', '1980-01-01', 'F', 'Bea'), (4, 'B', '1980-01-01', 'M', 'Bea')",
    )
    databases.target.run("ALTER TABLE people ADD CONSTRAINT even CHECK (id % 2 = 1)")
    databases.migrate(SPECIFICATION)
    assert warned(databases, "one_value_per") == ["1", "2", "3", "4"]
    databases.target.run("ALTER TABLE people DROP CONSTRAINT even")
    databases.legacy.run("UPDATE legacy_people SET sex = 'F' WHERE id = 4")
    document: Any = run_json(databases, capsys, ["rejects", "replay", "SPEC"])
    assert document["tables"]["people"]["accepted"] == 2
    assert databases.target.rows(
        "SELECT source_key, status FROM migration.migration_errors"
        " WHERE rule_id = 'one_value_per' ORDER BY 1"
    ) == [("1", "open"), ("2", "open"), ("3", "open"), ("4", "replayed")]


def test_who_looks_is_told_that_rows_are_compared(databases: TwoDatabases, capsys: Capsys) -> None:
    people(databases, "VALUES (1, 'A', '1980-01-01', 'F', 'Ann')")
    databases.write(SPECIFICATION)
    document = run_json(databases, capsys, ["try", "SPEC", "people", "--key", "1"])
    assert "SENT_TWICE, one_value_per: they compare the row with others" in document["not_checked"]
    document = run_json(databases, capsys, ["plan", "SPEC"])
    told = document["tables"]["people"]["not_predicted"]
    assert "one_value_per: it compares rows with each other" in told


@pytest.mark.parametrize(
    ("rule", "code", "told"),
    [
        ("{use: one_value_per, on_fail: reject}", "SYS-004", "can only warn"),
        ("{use: one_value_per, by: nothing}", "TRANS-001", "there is no field 'nothing'"),
        ("{use: one_value_per, fields: []}", "SYS-004", "a list of them"),
        ("{use: no_repeated_row}", "SYS-004", "needs 'fields'"),
        ("{use: no_gaps, by: mrn, sequence: birth_date}", "TRANS-004", "is date"),
        ("{use: no_gaps, by: mrn, sequence: sex, first: x}", "SYS-004", "whole number"),
    ],
    ids=range(6),
)
def test_what_is_wrong_with_a_rule(
    databases: TwoDatabases, rule: str, code: str, told: str
) -> None:
    people(databases, "SELECT 1 WHERE false")
    specification = SPECIFICATION.replace("use: [one_value_per]", f"ONE: {rule}")
    (problem,) = databases.refused(specification).problems
    assert problem.code.value == code
    assert told in problem.message
    assert "tables.people.rules.ONE" in problem.where


def test_what_is_no_number_leaves_no_gap(databases: TwoDatabases) -> None:
    people(databases, "SELECT 1 WHERE false")
    databases.target.run("ALTER TABLE diagnoses ALTER rank TYPE text")
    databases.legacy.run(
        "INSERT INTO legacy_diagnoses VALUES"
        " (1, 10, '1'), (2, 10, '1.5'), (3, 10, '3'),"
        " (4, 11, '1'), (5, 11, '0x2'), (6, 11, '3'),"
        " (7, 12, '1'), (8, 12, ' +2 '), (9, 12, '3'),"
        " (10, 13, '1'), (11, 13, '999999999999999999'), (12, 13, '9223372036854775807'),"
        " (13, 13, '9223372036854775807')"
    )
    databases.migrate(SPECIFICATION)
    assert warned(databases, "no_gaps") == ["3", "6", "11"]


def test_values_that_could_not_be_read_are_not_the_same(databases: TwoDatabases) -> None:
    people(
        databases,
        "VALUES (1, 'A', '2020-02-30', 'F', 'Ann'), (2, 'A', '2020-02-31', 'F', 'Ann'),"
        " (3, 'A', '2020-02-28', 'F', 'Ann')",
    )
    databases.migrate(SPECIFICATION)
    assert warned(databases, "SENT_TWICE") == []


def test_numbers_that_are_not_known_exactly_are_not_the_same(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE doses (id int PRIMARY KEY, dose numeric); INSERT INTO doses VALUES"
        " (1, 0.1234567890123), (2, 0.1234567890124), (3, 0.5), (4, 0.50), (5, NULL), (6, NULL)"
    )
    databases.target.run("CREATE TABLE doses (id int PRIMARY KEY, dose numeric)")
    databases.migrate("""
tables:
  doses:
    from: doses
    key: [id]
    copy: [id, dose]
    rules: {SENT_TWICE: {use: no_repeated_row, fields: [dose]}}
""")
    assert warned(databases, "SENT_TWICE") == ["4", "6"]
