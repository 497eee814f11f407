"""Ready rules that can't be used: each fault is told with its place, all of them at once."""

from __future__ import annotations

import re

import pytest

from schemas.code_maps.code_files import MCE_COLUMNS
from schemas.errors import ErrorCode, TransfuseError
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import HEADER, TwoDatabases

LEGACY = "CREATE TABLE people (id int PRIMARY KEY, born text, sex text)"
TARGET = "CREATE TABLE patients (id int PRIMARY KEY, birth_date date, sex text)"


@pytest.fixture
def hospital(databases: TwoDatabases) -> TwoDatabases:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    return databases


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
        - sex: {on_fail: wran}
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
        "- [1] | use.4",
        "- ssn | use.5",
        "D: {use: npi, field: sex, check: x > 1} | D",
        "- sex: {on_fail: wran} | sex.on_fail",
    }
    assert first["- ssn | use.5"][0] == "a rule 'ssn' stands here already"
    text = re.sub(r"\n      (D:|  - sex:) .*", "", WRONG)
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
    for name, code in (("women", "650"), ("broken", "6x0")):
        line = f"32\t9\t5\tA\tFemale_Only\tD\t{code}\tx"
        (hospital.folder / f"{name}.txt").write_text("\n".join(["\t".join(MCE_COLUMNS), line]))
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


def test_a_rule_that_is_no_ready_rule_may_stand_alone_in_the_list(hospital: TwoDatabases) -> None:
    text = UNFIT.partition("    rules:")[0] + "    rules: {use: birth_date}\n"
    with pytest.raises(TransfuseError, match="there is no ready rule 'birth_date'"):
        read_specification(hospital.write(text), hospital.variables)
