"""Ready rules in whole migrations: how they are given, what becomes of rows, what is refused."""

from __future__ import annotations

import json
import re

import pytest

from pipelines.cli import main
from pipelines.migrate import migrate
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from schemas.ready_rules import READY_RULES
from schemas.ready_rules.code_files import MCE_COLUMNS
from schemas.specification.reading import read_specification
from tests.pipelines.two_databases import HEADER, TwoDatabases

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
CREATE TABLE diagnoses (id int PRIMARY KEY, visit int, person int, icd9 text, seq int);
INSERT INTO diagnoses VALUES (1, 1, 1, '650', 1), (2, 1, 2, '4019', 2), (3, 1, 1, '185', 1),
    (4, 1, 1, '99999', 2), (5, 1, 1, NULL, 1);
"""

TARGET = """
CREATE TABLE patients (id int PRIMARY KEY, ssn char(11), provider_npi numeric, birth_date date,
    death_date date, sex text);
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
    flags = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    outcome = migrate(read_specification(path, hospital.variables), path, flags=flags)
    assert outcome.status is ExitStatus.COMPLETE, outcome.problems
    assert ("conditions", "1", "mce_sex_conflict") in hospital.warnings("load, source_key, rule_id")


def test_a_row_is_tried_against_ready_rules(hospital: TwoDatabases, capsys) -> None:
    path = hospital.write(TABLES)
    given = [f"--var={name}={url}" for name, url in hospital.variables.items()]
    row = json.dumps({"id": 9, "ssn": "000-00-0000", "npi": 1})
    assert main(["try", str(path), "patients", row, "--json", *given]) == 0
    told = capsys.readouterr().out
    assert '"ssn"' in told
    assert '"NPI"' in told


def test_a_plan_counts_what_ready_rules_find(hospital: TwoDatabases, capsys) -> None:
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
    hospital.legacy.run("INSERT INTO later VALUES (11, 1, 1, '4019', 1)")
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
    hospital.migrate(tables)


@pytest.mark.slow
def test_other_codes_can_be_accepted(hospital: TwoDatabases) -> None:
    tables = interrupted(hospital)
    (hospital.folder / "edits.txt").write_text(edits("4019"))
    path = hospital.write(tables)
    specification = read_specification(path, hospital.variables)
    assert migrate(specification, path, accept_changes=True).status is ExitStatus.COMPLETE
    found = hospital.warnings("source_key, rule_id")
    assert found == [("1", "mce_sex_conflict"), ("11", "mce_sex_conflict"), ("4", "WARNED")]


# -- what is refused ------------------------------------------------------------------------------

WRONG = """
tables:
  patients:
    from: people
    key: id
    fields:
      id: {from: id}
      birth_date: {from: born, type: date, format: "%Y-%m-%d"}
      sex: {from: sex}
    rules:
      use:
        - nppi
        - ssn: {feild: x}
        - age_at_most: {years: old}
        - [1]
        - ssn
      A: {use: mrn_format}
      B: {use: mrn_format, field: sex, pattern: [a]}
      C: {use: not_in_future, date: ~}
      D: {use: npi, field: sex, check: x > 1}
      E: {check: sex > 'a', feild: sex}
      F: {use: check_digit, method: mod12}
      G: {use: no_sentinel_date, date: birth_date, values: [1900-02-30]}
      H: {use: no_control_characters, field: sex, line_breaks: yes}
      I: {use: npi, field: sex, on_fail: wran}
"""


def refused(hospital: TwoDatabases, text: str) -> dict[str, tuple[str, str]]:
    """The messages and remedies by place: the line's text and the path below ``rules``."""
    lines = (HEADER + text).split("\n")
    found = {}
    for problem in hospital.refused(text).problems:
        match = re.search(r":(\d+) tables\.patients\.rules\.?(.*)", problem.where)
        assert match, problem
        found[f"{lines[int(match[1]) - 1].strip()} | {match[2]}"] = (
            problem.message,
            problem.remedy,
        )
    return found


def test_all_that_is_wrong_with_ready_rules_is_told_at_once(hospital: TwoDatabases) -> None:
    # What isn't a specification at all comes before what one says.
    first = refused(hospital, WRONG)
    assert set(first) == {
        "- [1] | use.3",
        "- ssn | use.4",
        "D: {use: npi, field: sex, check: x > 1} | D",
        "I: {use: npi, field: sex, on_fail: wran} | I.on_fail",
    }
    assert first["- ssn | use.4"][0] == "a rule 'ssn' stands here already"
    text = re.sub(r"\n      [DI]: .*", "", WRONG)
    found = refused(hospital, text)
    assert found["- nppi | nppi"] == (
        "there is no ready rule 'nppi'",
        "did you mean 'npi'?",
    )
    assert found["- ssn: {feild: x} | ssn.feild"] == (
        "the rule 'ssn' has no parameter 'feild'",
        "did you mean 'field'?",
    )
    assert found["- age_at_most: {years: old} | age_at_most.years"][0] == (
        "a whole number is expected here"
    )
    assert found["A: {use: mrn_format} | A"][0] == "the rule 'mrn_format' needs 'pattern'"
    assert found["B: {use: mrn_format, field: sex, pattern: [a]} | B.pattern"][0] == (
        "text is expected here"
    )
    assert found["C: {use: not_in_future, date: ~} | C.date"][0] == (
        "the name of a field is expected here"
    )
    assert found["E: {check: sex > 'a', feild: sex} | E.feild"][0] == (
        "the key 'feild' is not known here"
    )
    assert found["F: {use: check_digit, method: mod12} | F.method"][0] == (
        "one of mod10, mod11 is expected here"
    )
    places = " ".join(found)
    assert "G.values" in places
    assert "H.line_breaks" in places
    assert len(found) == 12


UNFIT = """
tables:
  patients:
    from: people
    key: id
    fields:
      id: {from: id}
      birth_date: {from: born, type: date, format: "%Y-%m-%d"}
      sex: {from: sex}
    rules:
      use: [ssn, not_after_death: {date: birth_dat}]
      A: {use: not_in_future, date: sex}
      B: {use: icd9_valid, code: birth_date}
      C: {use: mce_sex_conflict, code: sex, file: nowhere.txt}
      D: {use: mce_sex_conflict, code: sex, file: women.txt}
      E: {use: mrn_format, field: id, pattern: "[0-9"}
      F: {use: npi, field: src.npii}
      G: {use: mce_age_conflict, code: sex, at: birth_date, file: broken.txt}
"""


def test_what_does_not_fit_the_load_is_told_with_its_place(hospital: TwoDatabases) -> None:
    women = edits("650").rpartition("\n")[0]
    (hospital.folder / "women.txt").write_text(women)
    (hospital.folder / "broken.txt").write_text(edits("6x0"))
    error = hospital.refused(UNFIT)
    told = {p.where.partition("rules.")[2]: (p.code, p.message, p.remedy) for p in error.problems}
    assert set(told) == {
        "ssn",
        "not_after_death.date",
        "not_after_death",
        "A.date",
        "B.code",
        "C.file",
        "D.file",
        "E",
        "F.field",
        "G.file",
    }
    assert told["ssn"][:2] == (ErrorCode.TRANS_001, "there is no field 'ssn'")
    assert "birth_date" in told["ssn"][2]
    assert told["not_after_death.date"][2] == "did you mean 'birth_date'?"
    assert told["A.date"][:2] == (
        ErrorCode.TRANS_004,
        "'sex' is text, and 'not_in_future' takes a date or a timestamp here",
    )
    assert told["C.file"][0] is ErrorCode.SYS_004
    assert "No such file" in told["C.file"][1]
    assert told["D.file"][1] == "the file has no list 'Male_Only'"
    assert "broken.txt:2" in told["G.file"][1]
    assert "people has no column 'npii'" in told["F.field"][1]


def test_an_expression_of_ones_own_has_no_lists(hospital: TwoDatabases) -> None:
    text = UNFIT.partition("    rules:")[0] + "    rules: {A: listed.x}\n"
    (problem,) = hospital.refused(text).problems
    assert "'listed.x' is no name here" in problem.message


def test_a_field_that_failed_is_not_judged(hospital: TwoDatabases) -> None:
    # '99999' is longer than the column, and isn't looked up as NULL or anything else.
    hospital.target.run("ALTER TABLE conditions ALTER code TYPE varchar(4)")
    hospital.migrate(TABLES)
    errors = hospital.errors("source_key, rule_id")
    assert ("4", "code.type") in errors
    assert ("4", "icd9_valid") not in errors


# -- the verb -------------------------------------------------------------------------------------


def test_the_verb_lists_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in READY_RULES)
    assert main(["rules", "--json"]) == 0
    rules = json.loads(capsys.readouterr().out)["rules"]
    assert [rule["name"] for rule in rules] == list(READY_RULES)
    (npi,) = [rule for rule in rules if rule["name"] == "npi"]
    assert (npi["error"], npi["on_fail"]) == ("DATA-001", "reject")
    assert [(p["name"], p["default"]) for p in npi["parameters"]] == [("field", "npi")]


def test_the_verb_shows_one_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "age_at_most"]) == 0
    printed = capsys.readouterr().out
    assert "AGE_AT_MOST: {use: age_at_most, birth: birth_date" in printed
    assert "Source: CMS" in printed
    assert main(["rules", "npii"]) == 2
    assert "did you mean 'npi'?" in capsys.readouterr().err


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
    with pytest.raises(TransfuseError, match="there is no ready rule 'birth_date'"):
        read_specification(
            hospital.write(TABLES.replace("use: admission_before_discharge", "use: birth_date")),
            hospital.variables,
        )
