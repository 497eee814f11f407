"""What a site decided on codes before the first run, when the migration has no tables yet."""

from __future__ import annotations

import pytest

from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.two_databases import SMALL_PARTITIONS, TwoDatabases

SPECIFICATION = """
maps: {icd9_to_icd10: {}}
tables:
  conditions:
    from: diagnoses
    key: [id, part]
    copy: [id]
    fields: {code: {from: code, map: icd9_to_icd10, into: {part: cluster_seq, decided: map}}}
"""


@pytest.mark.parametrize("number", ["", "id int GENERATED ALWAYS AS IDENTITY,"])
def test_decisions_in_a_table_of_the_site(databases: TwoDatabases, number: str) -> None:
    databases.legacy.run(
        "CREATE TABLE diagnoses (id int PRIMARY KEY, code text);"
        "INSERT INTO diagnoses VALUES (1, 'XYZ'), (2, '250.00'), (3, '365.70')"
    )
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text NOT NULL, decided text,"
        " PRIMARY KEY (id, part));"
        f"CREATE SCHEMA migration; CREATE TABLE migration.code_mappings ({number}"
        " source_system text, target_system text, source_code text, target_code text,"
        " description text);"
        "INSERT INTO migration.code_mappings (source_system, target_system, source_code,"
        " target_code) VALUES ('ICD9', 'ICD10', 'xyz', 'Z2'), ('ICD9', 'ICD10', 'XYZ', 'Z1'),"
        " ('ICD9', 'ICD10', '36570', ' '), ('ICD9', 'LOINC', '25000', 'wrong'),"
        " ('ICD9', 'ICD10', NULL, 'wrong')"
    )
    databases.migrate(SPECIFICATION)
    assert databases.target.rows(
        "SELECT id, part, code, decided LIKE 'code_mappings%' FROM conditions ORDER BY 1, 2"
    ) == [(1, 1, "Z2", True), (1, 2, "Z1", True), (2, 1, "E11.9", False)]
    # A blank target is no code: the site has decided that there is none.
    assert databases.errors("source_key, error_code, rule_id") == [
        ("3", "DATA-001", "code.required")
    ]


@pytest.mark.slow
def test_the_newest_decision_of_a_code_wins(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE diagnoses (id int PRIMARY KEY, code text);"
        "INSERT INTO diagnoses VALUES (1, '682.6'), (2, '493.90'), (3, '250.00'), (4, '599.0')"
    )
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text, decided text,"
        " PRIMARY KEY (id, part))"
    )
    # The first run makes the table, with who decided and when.
    databases.migrate(SPECIFICATION, job="first")
    databases.target.run(
        "TRUNCATE conditions; INSERT INTO migration.code_mappings"
        " (source_system, target_system, source_code, target_code, decided_at) VALUES"
        # Taken back, also where the code is spelled in another way and the row is a later one.
        " ('ICD9', 'ICD10', '682.6', 'L03.116', '2020-02-02'),"
        " ('ICD9', 'ICD10', '6826', 'L03.115', '2020-01-01'),"
        # A cluster that was decided later than a single code.
        " ('ICD9', 'ICD10', '49390', 'old', '2020-01-01'),"
        " ('ICD9', 'ICD10', '49390', 'J45.909', '2021-01-01'),"
        " ('ICD9', 'ICD10', '493.90', 'J45.998', '2021-01-01'),"
        # Decided, and then that there is none.
        " ('ICD9', 'ICD10', '25000', 'E11.9', '2020-01-01'),"
        " ('ICD9', 'ICD10', '25000', NULL, '2021-01-01');"
        "INSERT INTO migration.code_mappings (source_system, target_system, source_code,"
        " target_code) VALUES ('ICD9', 'ICD10', '5990', 'N39.0')"
    )
    databases.migrate(SPECIFICATION, job="second")
    assert databases.target.rows("SELECT id, part, code FROM conditions ORDER BY 1, 2") == [
        (1, 1, "L03.116"),
        (2, 1, "J45.909"),
        (2, 2, "J45.998"),
        (3, 1, None),
        (4, 1, "N39.0"),
    ]
    assert databases.target.rows(
        "SELECT count(*) FROM migration.code_mappings WHERE decided_by = session_user"
    ) == [(8,)]


@pytest.mark.slow
def test_a_decision_between_two_runs(databases: TwoDatabases) -> None:
    """A load never has two names for one code, and what was rejected may be decided meanwhile."""
    databases.legacy.run(
        "CREATE TABLE diagnoses (id int PRIMARY KEY, code text, pad text); INSERT INTO diagnoses"
        " SELECT i, CASE i % 4 WHEN 0 THEN 'XYZ' ELSE '599.0' END, repeat('n', 60) || i"
        " FROM generate_series(1, 4000) i"
    )
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text, decided text, pad text,"
        " PRIMARY KEY (id, part))"
    )
    padded = SPECIFICATION.replace("copy: [id]", "copy: [id, pad]")
    databases.target.fill_up("conditions", "new.id = 3990")
    databases.migrate(padded, header=SMALL_PARTITIONS, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("conditions")

    def decide(source: str, target: str) -> None:
        databases.target.run(
            "INSERT INTO migration.code_mappings (source_system, target_system, source_code,"
            f" target_code) VALUES ('ICD9', 'ICD10', '{source}', '{target}')"
        )

    decide("599.0", "E11.9")
    (problem,) = databases.refused(padded, header=SMALL_PARTITIONS).problems
    assert problem.code is ErrorCode.USER_003
    assert "conditions may be written already with other targets of 5990" in problem.message
    databases.target.run("DELETE FROM migration.code_mappings")
    decide("XYZ", "R69")
    databases.migrate(padded, header=SMALL_PARTITIONS)
    assert databases.target.values("SELECT DISTINCT code FROM conditions ORDER BY 1") == [
        "N39.0",
        "R69",
    ]


@pytest.mark.slow
def test_a_second_decision_between_two_runs(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE diagnoses (id int PRIMARY KEY, code text, pad text); INSERT INTO diagnoses"
        " SELECT i, 'XYZ', repeat('n', 60) || i FROM generate_series(1, 4000) i"
    )
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text, decided text, pad text,"
        " PRIMARY KEY (id, part));"
        "CREATE SCHEMA migration; CREATE TABLE migration.code_mappings (source_system text,"
        " target_system text, source_code text, target_code text);"
        "INSERT INTO migration.code_mappings VALUES ('ICD9', 'ICD10', 'XYZ', 'R69')"
    )
    padded = SPECIFICATION.replace("copy: [id]", "copy: [id, pad]")
    databases.target.fill_up("conditions", "new.id = 3990")
    databases.migrate(padded, header=SMALL_PARTITIONS, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("conditions")
    databases.target.run("UPDATE migration.code_mappings SET target_code = 'R68.89'")
    (problem,) = databases.refused(padded, header=SMALL_PARTITIONS).problems
    assert "XYZ" in problem.message


COMPARED = """
maps: {icd9_to_icd10: {}}
tables:
  conditions:
    from: diagnoses
    key: [patient, code]
    copy: [patient, id, pad]
    fields: {code: {from: code, map: icd9_to_icd10}}
"""
CONDITIONS = "CREATE TABLE %s (patient int, code text, id int, pad text)"


@pytest.mark.slow
def test_decisions_before_anything_is_written_compare_rows_anew(databases: TwoDatabases) -> None:
    """The losers of a key are those of the decisions that hold when rows are written."""
    other = COMPARED.replace("conditions", "others").replace("diagnoses", "notes")
    both = COMPARED + other.partition("tables:\n")[2]
    diagnoses = "(id int PRIMARY KEY, patient int, code text, pad text)"
    databases.legacy.run(
        f"CREATE TABLE diagnoses {diagnoses}; CREATE TABLE notes {diagnoses};"
        "INSERT INTO diagnoses VALUES (1, 1, 'XYZ'), (2, 1, '401.1');"
        "INSERT INTO notes VALUES (1, 1, '272.0'), (2, 1, '401.1')"
    )
    databases.target.run(
        f"{CONDITIONS % 'conditions'}; {CONDITIONS % 'others'};"
        "CREATE SCHEMA migration; CREATE TABLE migration.code_mappings (source_system text,"
        " target_system text, source_code text, target_code text);"
        "INSERT INTO migration.code_mappings VALUES ('ICD9', 'ICD10', '272.0', 'I10')"
    )
    databases.target.run(
        "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE TRIGGER fails BEFORE INSERT ON conditions EXECUTE FUNCTION fails();"
        "CREATE TRIGGER fails BEFORE INSERT ON others EXECUTE FUNCTION fails()"
    )
    databases.migrate(both, expected=ExitStatus.INCOMPLETE)
    databases.target.run(
        "DROP TRIGGER fails ON conditions; DROP TRIGGER fails ON others;"
        "UPDATE migration.code_mappings SET target_code = 'E78.00';"
        "INSERT INTO migration.code_mappings VALUES ('ICD9', 'ICD10', 'XYZ', 'I10')"
    )
    databases.migrate(both)
    assert databases.target.rows("SELECT patient, code, id FROM conditions") == [(1, "I10", 1)]
    assert databases.target.rows("SELECT patient, code, id FROM others ORDER BY id") == [
        (1, "E78.00", 1),
        (1, "I10", 2),
    ]
    assert databases.errors("load, source_key, error_code") == [("conditions", "2", "DATA-004")]


@pytest.mark.slow
def test_a_load_that_compared_its_rows_goes_on_with_no_other_decision(
    databases: TwoDatabases,
) -> None:
    databases.legacy.run(
        "CREATE TABLE diagnoses (id int PRIMARY KEY, patient int, code text, pad text);"
        "INSERT INTO diagnoses SELECT i, i, '599.0', repeat('n', 60) || i"
        " FROM generate_series(1, 4000) i;"
        "INSERT INTO diagnoses VALUES (4001, 1, 'XYZ', '')"
    )
    databases.target.run(CONDITIONS % "conditions")
    databases.target.fill_up("conditions", "new.id = 3990")
    databases.migrate(COMPARED, header=SMALL_PARTITIONS, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("conditions")
    assert databases.target.row("SELECT count(*) > 0 FROM conditions") == (True,)
    databases.target.run(
        "INSERT INTO migration.code_mappings (source_system, target_system, source_code,"
        " target_code) VALUES ('ICD9', 'ICD10', 'XYZ', 'N39.0')"
    )
    (problem,) = databases.refused(COMPARED, header=SMALL_PARTITIONS).problems
    assert problem.code is ErrorCode.USER_003
    assert "rows of conditions were compared" in problem.message
    assert "XYZ" in problem.message
    assert "transfuse reset" in str(problem)
    databases.target.run("DELETE FROM migration.code_mappings")
    databases.migrate(COMPARED, header=SMALL_PARTITIONS)
    assert databases.target.row("SELECT count(*), count(DISTINCT patient) FROM conditions") == (
        4000,
        4000,
    )
