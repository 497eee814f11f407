"""Ready rules for diagnosis codes: their form, releases of ICD, and which system is in force."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.code_maps.code_files import (
    descriptions_of,
    packaged_icd9,
    packaged_icd10,
    read_codes_of,
)
from schemas.code_maps.code_system import ICD10CM, ICD10PCS, CodeSystem
from schemas.code_maps.packaged_codes import packaged_release
from schemas.errors import TransfuseError
from tests.oracle.calendar import DAY, days_of
from tests.support.direct_calls.one_rule import RuleOrName, broken, failing

ICD9 = ["001", "0010", "250.01", "25001", "V30", "V30.00", "V3000", "E812", "E812.0", "E8120"]
NO_ICD9 = ["1", "25", "250.", "2500.1", "250.011", "E81", "E81.20", "E812.00", "v30", "", "A00"]
ICD10 = ["A00", "A00.0", "E11.9", "E119", "S52.521A", "S52521A", "C4A.0", "Z3A.01", "U07.1"]
NO_ICD10 = ["A0", "A00.", "A00.00000", "AA0", "a00", "11.9", "", "A0.00", " A00"]

LISTS = {
    "icd9_valid": {"codes": frozenset(packaged_icd9().lists["codes"])},
    "icd10_billable": {"codes": frozenset(packaged_icd10().lists["codes"])},
}


def test_the_form_of_icd9() -> None:
    assert failing("icd9_format", {"code": "text"}, [*ICD9, *NO_ICD9, None]) == NO_ICD9
    dotted = {"use": "icd9_format", "notation": "dotted"}
    assert failing(dotted, {"code": "text"}, ICD9) == ["0010", "25001", "V3000", "E8120"]
    undotted = {"use": "icd9_format", "notation": "undotted"}
    assert failing(undotted, {"code": "text"}, ICD9) == ["250.01", "V30.00", "E812.0"]


def test_the_form_of_icd10() -> None:
    assert failing("icd10_format", {"code": "text"}, [*ICD10, *NO_ICD10, None]) == NO_ICD10
    dotted = {"use": "icd10_format", "notation": "dotted"}
    assert failing(dotted, {"code": "text"}, ICD10) == ["E119", "S52521A"]


def test_a_code_stands_in_the_last_release_of_icd9() -> None:
    # 041.4 was divided in 2011; 250.00 lacks its dot in the wrong place; 999.99 never was.
    rows = ["0010", "001.0", "V30.00", "E812.0", "0414", "25.000", "99999", "v3000", "", None]
    wrong = ["0414", "25.000", "99999", "v3000", ""]
    assert failing("icd9_valid", {"code": "varchar(10)"}, rows, LISTS["icd9_valid"]) == wrong


def test_a_code_is_billable_in_icd10() -> None:
    rows = ["A00.0", "A000", "A00", "E11", "S52.521A", "S52.521", "Z99.99", None]
    wrong = ["A00", "E11", "S52.521", "Z99.99"]
    assert failing("icd10_billable", {"code": "text"}, rows, LISTS["icd10_billable"]) == wrong


def test_the_packaged_releases_are_whole() -> None:
    assert len(packaged_icd9().lists["codes"]) == 14_567
    assert len(packaged_icd10().lists["codes"]) == 74_719


@pytest.mark.parametrize(
    ("system", "year", "count"),
    [
        (ICD10CM, 2016, 69_823),
        (ICD10CM, 2018, 71_704),
        (ICD10CM, 2024, 74_044),
        (ICD10PCS, 2018, 78_705),
    ],
)
def test_a_release_has_the_codes_of_its_year(system: CodeSystem, year: int, count: int) -> None:
    assert len(packaged_release(system, year).codes) == count


def test_codes_come_and_go_between_releases() -> None:
    of = {year: set(packaged_release(ICD10CM, year).codes.to_pylist()) for year in (2018, 2024)}
    assert ("M545" in of[2018], "M545" in of[2024]) == (True, False)
    assert ("U071" in of[2018], "U071" in of[2024]) == (False, True)


def test_a_code_without_a_title_is_described_by_nothing() -> None:
    assert descriptions_of(ICD10CM)["U071"] == "COVID-19"
    of_procedures = descriptions_of(ICD10PCS)
    assert of_procedures["0DTJ4ZZ"] == "Resection of Appendix, Percutaneous Endoscopic Approach"
    assert of_procedures["00H033J"] == ""


def test_a_file_may_take_the_place_of_the_packaged_codes(tmp_path: Path) -> None:
    path = tmp_path / "codes.txt"
    path.write_bytes(b"\xef\xbb\xbf041.4\tE. coli, M\xe9ni\xe8re\r\n\r\n0010, Cholera\nV3000\n")
    rule = {"use": "icd9_valid", "file": str(path)}
    codes = {"codes": {"0414", "0010", "V3000"}}
    assert failing(rule, {"code": "text"}, ["041.4", "0010", "0011"], codes) == ["0011"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"0010 Cholera\nA000 Cholera\n", r"codes.txt:2: no diagnosis code of ICD-9-CM"),
        (b"code,text\n0010,Cholera\n", r"codes.txt:1: no diagnosis code"),
        (b"\n", "codes.txt: the file has no diagnosis codes"),
        (b"\x00\xff" * 50, "codes.txt:1: no diagnosis code"),
        (b"x\n" * 30, "and 10 more bad lines"),
    ],
)
def test_a_file_that_is_no_list_of_codes_is_refused(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "codes.txt"
    path.write_bytes(content)
    with pytest.raises(TransfuseError, match=told):
        read_codes_of(9)(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        TransfuseError, match=r"absent\.txt: the file of codes can't be read: No such"
    ):
        read_codes_of(10)(tmp_path / "absent.txt")


def test_the_last_release_is_that_of_cms(shared_data: Path) -> None:
    text = (shared_data / "icd9" / "CMS32_DESC_LONG_DX.txt").read_text("latin-1")
    assert set(packaged_icd9().lists["codes"]) == set(re.findall(r"^(\w+) ", text, re.MULTILINE))


LAST, FIRST = days_of(2015, 9, 30), days_of(2015, 10, 1)


def test_icd10_is_in_force_from_1_october_2015() -> None:
    columns = {"discharged_at": "date", "code_system": "text"}
    rows = [
        (LAST, "ICD9CM"),
        (FIRST, "ICD9CM"),
        (LAST, "ICD10CM"),
        (FIRST, "ICD10CM"),
        (FIRST, "SNOMED"),
        (FIRST, None),
        (None, "ICD9CM"),
    ]
    assert failing("icd_version_for_date", columns, rows) == rows[1:3]
    all_rows = {"use": "icd_version_for_date", "system": "9"}
    assert failing(all_rows, {"discharged_at": "date"}, [LAST, FIRST]) == [FIRST]


@pytest.mark.parametrize("name", ["ICD9", "icd-9-cm", "ICD 9", "9", "09", "I9C", "I9CDX"])
def test_many_names_mean_icd9(name: str) -> None:
    columns = {"discharged_at": "date", "code_system": "text"}
    rows = [(FIRST, name), (FIRST, name.replace("09", "9").replace("9", "10"))]
    assert failing("icd_version_for_date", columns, rows) == rows[:1]


def test_a_system_may_be_a_number() -> None:
    columns = {"discharged_at": "timestamp", "code_system": "int2"}
    assert FIRST is not None
    rows = [(FIRST * DAY - 1, 9), (FIRST * DAY, 9), (FIRST * DAY - 1, 10), (FIRST * DAY, 10)]
    assert failing("icd_version_for_date", columns, rows) == rows[1:3]


CODES = st.one_of(
    st.sampled_from([*ICD9, *NO_ICD9, *ICD10, *NO_ICD10]),
    st.from_regex(r"[0-9EVA]{1,3}[0-9.]{1,4}", fullmatch=True),
    st.from_regex(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{0,5})?", fullmatch=True),
    st.text(max_size=8).filter(lambda t: "\0" not in t),
    st.none(),
)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.lists(CODES, min_size=40, max_size=80))
def test_codes_are_judged_as_the_oracle_judges_them(codes: list[str | None]) -> None:
    rules: dict[str, RuleOrName] = {
        "VALID": "icd9_valid",
        "BILLABLE": "icd10_billable",
        **{
            f"{rule}_{notation}": {"use": rule, "notation": notation}
            for rule in ("icd9_format", "icd10_format")
            for notation in ("any", "dotted", "undotted")
        },
    }
    broken(rules, {"code": "text"}, [(code,) for code in codes], LISTS)
