"""Ready rules in whole migrations: how they are given, what becomes of rows, what is refused."""

from __future__ import annotations

import json

import pytest

from pipelines import migrate, read_specification
from pipelines.cli.main import main
from schemas.code_maps.code_files import MCE_COLUMNS
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.runs import other_processes

LEGACY = """
CREATE TABLE people (id int PRIMARY KEY, ssn text, npi bigint, born text, died date, sex text);
INSERT INTO people VALUES
    (1, '123-45-6789', 1234567893, '1950-01-01', '2010-01-01', 'F'),
    (2, '666-45-6789', 1234567890, '1950-01-01', '1949-01-01', 'M'),
    (3, NULL, NULL, NULL, NULL, NULL),
    (4, '123456789', 1234567893, '1850-01-01', NULL, 'X'),
    (5, '123456789', 1234567893, 'unknown', '1949-01-01', 'F');
CREATE TABLE visits (id int PRIMARY KEY, person int, admitted timestamptz, discharged timestamptz);
INSERT INTO visits VALUES (1, 1, '2009-12-01 10:00+00', '2009-12-05 10:00+00'),
    (2, 1, '2009-12-05 10:00+00', '2009-12-01 10:00+00');
CREATE TABLE diagnoses (id int PRIMARY KEY, visit int, person int, icd9 char(6), seq int);
INSERT INTO diagnoses VALUES (1, 1, 1, '650', 1), (2, 1, 2, '4019', 2), (3, 1, 1, '185', 1),
    (4, 1, 1, '99999', 2), (5, 1, 1, NULL, 1);
"""

TARGET = """
CREATE TYPE sexes AS ENUM ('F', 'M', 'X');
CREATE TABLE patients (id int PRIMARY KEY, ssn char(11), provider_npi numeric, birth_date date,
    death_date date, sex sexes);
CREATE TABLE encounters (id int PRIMARY KEY, patient_id int, admitted_at timestamptz,
    discharged_at timestamptz);
CREATE TABLE conditions (id int PRIMARY KEY, encounter_id int, patient_id int, code varchar(8),
    position smallint);
"""

TABLES = """
tables:
  patients:
    from: people
    key: id
    fields:
      id: {from: id}
      ssn: {from: ssn}
      provider_npi: {from: npi}
      birth_date: {from: born, type: date, format: "%Y-%m-%d"}
      death_date: {from: died}
      sex: {from: sex}
    rules:
      NPI: {use: npi, field: provider_npi, error: TRANS-003}
      use:
        - ssn
        - birth_before_death
        - age_at_most: {years: 120}
        - sex:
            values: [M, F]
      WARNED: {use: sex, on_fail: warn, error: DATA-005}
  encounters:
    from: visits
    key: id
    fields:
      id: {from: id}
      patient_id: {from: person, ref: patients}
      admitted_at: {from: admitted}
      discharged_at: {from: discharged}
    rules: {use: admission_before_discharge}
  conditions:
    from: diagnoses
    key: id
    fields:
      id: {from: id}
      encounter_id:
        from: visit
        ref: encounters
        take: {visit_patient_id: patient_id, admitted_at: admitted_at}
      patient_id: {from: person}
      code: {from: icd9}
      position: {from: seq}
    rules:
      use:
        - same_patient
        - icd9_valid
        - icd9_format: {code: src.icd9}
        - mce_sex_conflict: {file: edits.txt, sex: src.seq, male: "1"}
"""


def edits(*codes: str) -> str:
    lines = [f"32\t9\t5\tA\tFemale_Only\tD\t{code}\tx" for code in codes]
    return "\n".join(["\t".join(MCE_COLUMNS), *lines, "32\t9\t5\tC\tMale_Only\tD\t185\tx"])


@pytest.fixture
def hospital(databases: TwoDatabases) -> TwoDatabases:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    (databases.folder / "edits.txt").write_text(edits("650"))
    return databases


def test_rules_by_name_reject_and_warn(hospital: TwoDatabases) -> None:
    hospital.migrate(TABLES)
    assert hospital.errors("load, source_key, error_code, rule_id, field") == [
        ("conditions", "2", "TRANS-003", "same_patient", "patient_id"),
        ("conditions", "4", "DATA-001", "icd9_valid", "code"),
        ("encounters", "2", "DATA-001", "admission_before_discharge", None),
        ("patients", "2", "DATA-001", "birth_before_death", None),
        ("patients", "2", "DATA-001", "ssn", "ssn"),
        ("patients", "2", "TRANS-003", "NPI", "provider_npi"),
        ("patients", "4", "DATA-001", "age_at_most", None),
        ("patients", "4", "DATA-001", "sex", "sex"),
        ("patients", "5", "DATA-003", "birth_date.type", "birth_date"),
    ]
    assert hospital.warnings("load, source_key, error_code, rule_id") == [
        ("conditions", "1", "DATA-005", "mce_sex_conflict"),
        ("patients", "4", "DATA-005", "WARNED"),
    ]
    assert hospital.target.values("SELECT id FROM conditions ORDER BY id") == [1, 3, 5]


@pytest.mark.slow
def test_workers_in_processes_of_their_own_have_the_lists(hospital: TwoDatabases) -> None:
    path = hospital.write(TABLES)
    outcome = migrate(read_specification(path, hospital.variables), other_processes.FLAGS)
    assert outcome.status is ExitStatus.COMPLETE, outcome.problems
    assert ("conditions", "1", "mce_sex_conflict") in hospital.warnings("load, source_key, rule_id")


def test_a_row_is_tried_against_ready_rules(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hospital.write(TABLES)
    given = [f"--var={name}={url}" for name, url in hospital.variables.items()]
    row = json.dumps({"id": 9, "ssn": "000-00-0000", "npi": 1})
    assert main(["try", str(path), "patients", row, "--json", *given]) == 0
    told = capsys.readouterr().out
    assert '"ssn"' in told
    assert '"NPI"' in told


def test_a_plan_counts_what_ready_rules_find(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hospital.write(TABLES)
    given = [f"--var={name}={url}" for name, url in hospital.variables.items()]
    assert main(["plan", str(path), "--full", "--json", *given]) == 0
    told = capsys.readouterr().out
    assert all(rule in told for rule in ("icd9_valid", "mce_sex_conflict", "NPI"))


# -- a job that goes on with other lists ----------------------------------------------------------


def interrupted(hospital: TwoDatabases) -> str:
    """A job of which the last load isn't complete, though a row of it is written."""
    hospital.target.run("ALTER TABLE conditions ADD CHECK (id > 0)")
    tables = TABLES.replace("from: diagnoses", "from: [diagnoses, later]")
    hospital.legacy.run("CREATE TABLE later (LIKE diagnoses INCLUDING ALL);")
    hospital.legacy.run("INSERT INTO later VALUES (11, 1, 1, '4019', 1), (12, 1, 1, '4019', 1)")
    hospital.target.fill_up("conditions", "new.id = 11")
    hospital.migrate(tables, expected=ExitStatus.INCOMPLETE)
    hospital.target.make_room("conditions")
    assert hospital.target.values("SELECT id FROM conditions ORDER BY id") == [1, 3, 5]
    return tables


@pytest.mark.slow
def test_a_job_does_not_go_on_with_other_codes(hospital: TwoDatabases) -> None:
    tables = interrupted(hospital)
    (hospital.folder / "edits.txt").write_text(edits("650", "4019"))
    (problem,) = hospital.refused(tables).problems
    assert problem.code is ErrorCode.USER_003
    assert "rules.mce_sex_conflict.sha256 of its codes" in problem.message
    assert "--accept-changes" in problem.remedy
    (line,) = [n for n, text in enumerate((HEADER + tables).split("\n"), 1) if "mce_sex" in text]
    assert f":{line} tables.conditions.rules.mce_sex_conflict" in problem.where
    (hospital.folder / "edits.txt").write_text(edits("650"))
    (problem,) = hospital.refused(tables.replace('male: "1"', 'male: "2"')).problems
    assert '\'rules.mce_sex_conflict.male\' has changed from "1" to "2"' in problem.message
    hospital.migrate(tables)


@pytest.mark.slow
def test_other_codes_can_be_accepted(hospital: TwoDatabases) -> None:
    tables = interrupted(hospital)
    (hospital.folder / "edits.txt").write_text(edits("4019"))
    path = hospital.write(tables)
    specification = read_specification(path, hospital.variables)
    assert migrate(specification, accept_changes=True).status is ExitStatus.COMPLETE
    warned = ["1", "11", "12"]
    found = hospital.warnings("source_key, rule_id")
    assert found == [*((key, "mce_sex_conflict") for key in warned), ("4", "WARNED")]


@pytest.mark.slow
def test_a_field_that_failed_is_not_judged(hospital: TwoDatabases) -> None:
    # '99999' is longer than the column, and isn't looked up as NULL or anything else.
    hospital.target.run("ALTER TABLE conditions ALTER code TYPE varchar(4)")
    hospital.migrate(TABLES)
    errors = hospital.errors("source_key, rule_id")
    assert ("4", "code.type") in errors
    assert ("4", "icd9_valid") not in errors


def test_a_specification_with_lists_of_rules_is_read_as_one_without(
    hospital: TwoDatabases,
) -> None:
    written = TABLES.replace(
        "rules: {use: admission_before_discharge}",
        "rules: {admission_before_discharge: {use: admission_before_discharge}}",
    )
    digests = {
        read_specification(hospital.write(text), hospital.variables).digest
        for text in (TABLES, written)
    }
    assert len(digests) == 1


UNTRANSLATED = """
maps: {icd: {outdated: accept}}
tables:
  conditions: &load
    from: diagnoses
    key: [load, id]
    fields: &fields
      load: {const: one}
      id: {from: id}
      code: {from: icd9, map: icd}
      source_code: {from: icd9, transform: trim}
      code_system: {const: ICD10CM}
      position: {from: seq}
    rules:
      RAW: {use: external_cause_principal, code: src.icd9}
      COPIED: {use: external_cause_principal, code: source_code}
      TRANSLATED: {use: external_cause_principal}
      TOLD: {use: external_cause_principal, code: src.icd9, system: "10"}
  mixed:
    <<: *load
    into: conditions
    fields:
      <<: *fields
      load: {const: two}
      code: {from: icd9, map: icd, coded_in: version}
    rules:
      RAW: {use: external_cause_principal, code: src.icd9}
"""


@pytest.mark.slow
def test_an_external_cause_is_told_by_the_system_of_the_column_that_is_read(
    databases: TwoDatabases,
) -> None:
    databases.legacy.run(
        "CREATE TABLE diagnoses (id int PRIMARY KEY, icd9 text, version text, seq int);"
        # A place, insulin, and a fall; the last is a code of ICD-10 in the load with both.
        "INSERT INTO diagnoses VALUES (1, 'E8490', '9', 1), (2, 'V5867', '9', 1),"
        " (3, 'E8889', '9', 2), (4, '5990', '9', 1), (5, 'W19XXXA', '10', 1)"
    )
    databases.target.run(
        "CREATE TABLE conditions (load text, id int, code text, source_code text,"
        " code_system text, position int, PRIMARY KEY (load, id))"
    )
    databases.migrate(UNTRANSLATED)
    assert databases.warnings("load, rule_id, source_key") == [
        ("conditions", "COPIED", "1"),
        ("conditions", "RAW", "1"),
        # What V58.67 would be if it were of ICD-10.
        ("conditions", "TOLD", "2"),
        ("conditions", "TOLD", "5"),
        ("conditions", "TRANSLATED", "1"),
        ("mixed", "RAW", "1"),
        ("mixed", "RAW", "5"),
    ]
    wrong = "RAW: {use: mce_manifestation_principal, code: src.icd9, file: edits.txt}"
    lists = edits("").splitlines()[0] + "\n37\t10\t6\tA\tPrincipal_Manifestation\tD\tE0836\tx"
    (databases.folder / "edits.txt").write_text(lists)
    told = UNTRANSLATED.replace("RAW: {use: external_cause_principal, code: src.icd9}", wrong, 1)
    (problem,) = databases.refused(told).problems
    assert "the lists are of ICD-10, and 'src.icd9' holds codes of ICD-9" in problem.message
