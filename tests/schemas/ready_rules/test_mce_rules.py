"""Ready rules of the Medicare Code Editor: its files, and sex, age and place of a code."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.code_maps.code_files import MCE_COLUMNS, read_mce
from schemas.errors import TransfuseError
from tests.oracle.calendar import days_of
from tests.support.direct_calls.one_rule import RuleOrName, broken, failing

EDITS = {
    "Newborn_Only": ["V3000", "7706"],
    "Pediatric_Only": ["V202"],
    "Maternity_Only": ["650", "V270"],
    "Adult_Only": ["2900"],
    "Female_Only": ["650", "1820"],
    "Male_Only": ["185"],
    "Principal_Manifestation": ["3572"],
    "Principal_Unacceptable": ["V270", "449"],
}


def lines(edits: Mapping[str, list[str]] = EDITS, version: str = "32", icd: str = "9") -> list[str]:
    found = ["\t".join(MCE_COLUMNS)]
    for name, codes in edits.items():
        found += [f"{version}\t{icd}\t4\tA\t{name}\tD\t{code}\twords" for code in codes]
    return [*found, f"{version}\t{icd}\t5\tB\tFemale_Only\tP\t650\ta procedure"]


def lists(version: int = 32) -> dict[str, Any]:
    return {name: set(codes) for name, codes in EDITS.items()} | {"system": 9, "version": version}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "edits.txt"
    path.write_text("\n".join(lines()))
    return str(path)


def test_a_diagnosis_of_women_or_men_is_of_one_of_them(file: str) -> None:
    rule = {"use": "mce_sex_conflict", "file": file}
    columns = {"code": "text", "sex": "text"}
    rows = [
        ("650", "M"),
        ("182.0", "M"),
        ("185", "F"),
        ("650", "F"),
        ("185", "M"),
        ("185", "U"),
        ("185", None),
        (None, "F"),
        ("4019", "F"),
    ]
    assert failing(rule, columns, rows, lists()) == rows[:3]
    other = {**rule, "male": ["1", "male"], "female": "2"}
    spelled = [("650", "1"), ("650", "male"), ("185", "2"), ("650", "M")]
    assert failing(other, columns, spelled, lists()) == spelled[:3]


def test_rows_of_another_code_system_pass(file: str) -> None:
    rule = {"use": "mce_sex_conflict", "file": file, "system": "code_system"}
    columns = {"code": "text", "sex": "text", "code_system": "text"}
    rows = [("650", "M", "ICD9CM"), ("650", "M", "ICD10CM"), ("650", "M", None)]
    assert failing(rule, columns, rows, lists()) == rows[:1]
    always = {"use": "mce_sex_conflict", "file": file, "system": "10"}
    with pytest.raises(TransfuseError, match="the lists are of ICD-9"):
        failing(always, {"code": "text", "sex": "text"}, [("650", "M")], lists())


def born(year: int, month: int = 3, number: int = 1) -> int:
    day = days_of(year, month, number)
    assert day is not None
    return day


AT = born(2010)


@pytest.mark.parametrize(
    ("code", "from_age", "to_age"),
    [("V3000", 0, 0), ("V20.2", 0, 17), ("650", 12, 55), ("290.0", 15, 124), ("4019", 0, 130)],
)
def test_a_diagnosis_belongs_to_an_age(file: str, code: str, from_age: int, to_age: int) -> None:
    rule = {"use": "mce_age_conflict", "file": file}
    columns = {"code": "text", "birth_date": "date", "admitted_at": "date"}
    rows = [(code, born(2010 - age), AT) for age in range(131)]
    # On the day before a birthday one is a year younger.
    eve = [(code, born(2010 - age) + 1, AT) for age in range(1, 131)]
    wrong = [row for row in rows if not from_age <= 2010 - _year(row) <= to_age]
    wrong += [row for row in eve if not from_age <= 2009 - _year(row) <= to_age]
    assert failing(rule, columns, [*rows, *eve], lists()) == wrong


def _year(row: tuple[str, int, int]) -> int:
    return 1970 + round((row[1] - 60) / 365.2425)


def test_mothers_may_be_older_since_version_36(tmp_path: Path) -> None:
    columns = {"code": "text", "birth_date": "date", "admitted_at": "date"}
    rows = [("650", born(2010 - age), AT) for age in (8, 9, 12, 55, 56, 64, 65)]
    for version, right in ((35, rows[2:4]), (36, rows[1:6])):
        path = tmp_path / f"{version}.txt"
        path.write_text("\n".join(lines(version=str(version))))
        rule = {"use": "mce_age_conflict", "file": str(path)}
        wrong = [row for row in rows if row not in right]
        assert failing(rule, columns, rows, lists(version)) == wrong
    told = {**rule, "maternity": "9-55"}
    assert failing(told, columns, rows, lists(36)) == [rows[0], *rows[4:]]


def test_who_has_no_age_passes(file: str) -> None:
    columns = {"code": "text", "birth_date": "date", "admitted_at": "timestamp"}
    rows = [("650", None, 0), ("650", 0, None), ("650", AT, 0)]
    assert failing({"use": "mce_age_conflict", "file": file}, columns, rows, lists()) == []


def test_a_manifestation_or_a_circumstance_is_no_principal_diagnosis(file: str) -> None:
    columns = {"code": "text", "position": "int2"}
    rows = [("3572", 1), ("357.2", 1), ("3572", 2), ("3572", None), ("V27.0", 1), (None, 1)]
    manifestation = {"use": "mce_manifestation_principal", "file": file}
    assert failing(manifestation, columns, rows, lists()) == rows[:2]
    circumstance = {"use": "mce_unacceptable_principal", "file": file}
    assert failing(circumstance, columns, rows, lists()) == [rows[4]]
    each = {**circumstance, "position": None}
    assert failing(each, {"code": "text"}, ["V270", "3572", "449"], lists()) == ["V270", "449"]
    flagged = {**circumstance, "position": "kind", "principal": "P"}
    kinds = [("V270", "P"), ("V270", "S")]
    assert failing(flagged, {"code": "text", "kind": "text"}, kinds, lists()) == kinds[:1]


def test_an_external_cause_is_no_principal_diagnosis() -> None:
    columns = {"code": "text", "position": "int2", "code_system": "text"}
    rows = [
        ("E812.0", 1, "ICD9CM"),
        ("E812.0", 2, "ICD9CM"),
        ("V30.00", 1, "ICD9CM"),
        ("E11.9", 1, "ICD10CM"),
        ("W19.XXXA", 1, "ICD10CM"),
        ("V30.0XXA", 1, "ICD10CM"),
        ("E812.0", 1, "LOCAL"),
        (None, 1, "ICD9CM"),
    ]
    assert failing("external_cause_principal", columns, rows) == [rows[0], rows[4], rows[5]]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({0: "code\tname"}, r":1: the header isn't that"),
        ({2: "32\t9\t4"}, r":3: this line has 3 columns, not 8"),
        ({2: "32\t11\t4\tA\tX\tD\t650\tx"}, r":3: MCE_Version '32' and ICD_Version '11'"),
        ({2: "33\t9\t4\tA\tX\tD\t650\tx"}, r":3: this line is of another version"),
        ({2: "32\t9\t4\tA\tX\tQ\t650\tx"}, r":3: MCE_Edit_Type 'X' and ICD_Code_Type 'Q'"),
        ({2: "32\t9\t4\tA\tX\tD\t65.0\tx"}, r":3: '65.0' is no diagnosis code of ICD-9-CM"),
    ],
)
def test_a_file_that_is_none_of_the_editors_is_refused(
    tmp_path: Path, changed: dict[int, str], told: str
) -> None:
    path = tmp_path / "edits.txt"
    path.write_text("\n".join(changed.get(n, line) for n, line in enumerate(lines())))
    with pytest.raises(TransfuseError, match=f"edits.txt{told}"):
        read_mce(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    for content in ("", lines()[0] + "\n"):
        (tmp_path / "edits.txt").write_text(content)
        with pytest.raises(TransfuseError, match="the file has no diagnosis codes"):
            read_mce(tmp_path / "edits.txt")


def test_the_files_of_cms_are_read(shared_data: Path) -> None:
    for version, system in ((32, 9), (37, 10)):
        path = shared_data / "mce" / f"MCE_Simple_Code_Edits_v{version}.txt"
        found = read_mce(path)
        assert (found.version, found.system) == (version, system)
        cells = [line.split("\t") for line in path.read_text().splitlines()[1:]]
        wanted = Counter(c[4] for c in cells if c[5] == "D")
        assert {name: len(codes) for name, codes in found.lists.items()} == wanted


def test_real_diagnoses_are_judged_as_the_oracle_judges_them(shared_data: Path) -> None:
    """The MIMIC-III demo, whose dates are shifted but whose sexes and sequences aren't."""
    path = shared_data / "mce" / "MCE_Simple_Code_Edits_v32.txt"
    by_name: dict[str, Any] = {"system": 9, "version": 32}
    for line in path.read_text().splitlines()[1:]:
        cells = line.split("\t")
        if cells[5] == "D":
            by_name.setdefault(cells[4], set()).add(cells[6])
    sexes = {row["subject_id"]: row["gender"] for row in mimic(shared_data, "PATIENTS")}
    rows: list[Any] = [
        (row["icd9_code"] or None, sexes[row["subject_id"]], row["seq_num"] or None)
        for row in mimic(shared_data, "DIAGNOSES_ICD")
    ]
    names = ["mce_sex_conflict", "mce_manifestation_principal", "mce_unacceptable_principal"]
    rules: dict[str, Any] = {name: {"use": name, "file": str(path)} for name in names}
    rules["CAUSE"] = {"use": "external_cause_principal", "system": "9"}
    columns = {"code": "text", "sex": "text", "position": "text"}
    assert len(rows) == 1761
    assert not any(broken(rules, columns, rows, dict.fromkeys(names, by_name)))
    # With the sexes exchanged the lists find what they are there for.
    exchanged = [(code, "M" if sex == "F" else "F", place) for code, sex, place in rows]
    wrong = failing(rules["mce_sex_conflict"], columns, exchanged, by_name)
    assert len(wrong) == 12
    # As many as grep finds in the file, whatever their place.
    anywhere = {name: {**rules[name], "position": None} for name in (*names[1:], "CAUSE")}
    found = Counter(
        rule
        for labels in broken(anywhere, columns, rows, dict.fromkeys(names, by_name))
        for rule in labels
    )
    assert found == {
        "mce_manifestation_principal": 36,
        "mce_unacceptable_principal": 125,
        "CAUSE": 47,
    }


def mimic(shared_data: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(shared_data / "mimic3demo" / f"{name}.csv.gz", "rt") as text:
        return list(csv.DictReader(text))


PEOPLE = st.tuples(
    st.one_of(st.sampled_from([c for codes in EDITS.values() for c in codes]), st.none()),
    st.sampled_from(["M", "F", "U", None]),
    st.one_of(st.integers(born(1880), born(2020)), st.none()),
    st.one_of(st.integers(born(1990), born(2020)), st.none()),
    st.sampled_from(["1", "2", None]),
    st.sampled_from(["ICD9CM", "10", None]),
)


@settings(max_examples=10, deadline=None)
@given(st.lists(PEOPLE, min_size=40, max_size=80))
def test_rows_are_judged_as_the_oracle_judges_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "edits.txt"
    path.write_text("\n".join(lines()))
    names = [
        "mce_sex_conflict",
        "mce_age_conflict",
        "mce_manifestation_principal",
        "mce_unacceptable_principal",
    ]
    rules = {name: {"use": name, "file": str(path)} for name in names}
    of_system = {f"{name}_9": {**rule, "system": "code_system"} for name, rule in rules.items()}
    columns = {
        "code": "text",
        "sex": "text",
        "birth_date": "date",
        "admitted_at": "date",
        "position": "text",
        "code_system": "text",
    }
    all_rules: dict[str, RuleOrName] = {**rules, **of_system, "CAUSE": "external_cause_principal"}
    broken(all_rules, columns, rows, dict.fromkeys(names, lists()))
