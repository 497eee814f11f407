from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest

from demo.diagnosis_codes import (
    CHOICE,
    CLUSTERS,
    COMMON,
    NO_MAP,
    OUTDATED,
    UNKNOWN,
    single_target_codes,
)
from demo.generate import generate
from demo.tables import Hospital
from schemas.code_maps.gem import GemCategory
from schemas.code_maps.gem_file import packaged_gem
from schemas.code_maps.target_check import Outdated, target_check


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return generate(5000, 1)


def test_the_size_is_about_2_4_visits_a_patient_and_2_5_diagnoses_a_visit(
    hospital: Hospital,
) -> None:
    assert len(hospital.patients) == 5000
    assert len(hospital.visits) == pytest.approx(12_000, rel=0.1)
    assert len(hospital.diagnoses) == pytest.approx(2.5 * len(hospital.visits), rel=0.05)


def test_the_same_seed_gives_the_same_hospital_and_another_seed_another() -> None:
    one, same, other = generate(300, 5), generate(300, 5), generate(300, 6)
    for table, again, different in zip(
        one.legacy_tables[1:], same.legacy_tables[1:], other.legacy_tables[1:], strict=True
    ):
        assert table.to_arrow().equals(again.to_arrow())
        assert not table.to_arrow().equals(different.to_arrow())


def test_keys_are_unique(hospital: Hospital) -> None:
    for table in hospital.legacy_tables:
        assert len(np.unique(table[table.key].astype(str))) == len(table)
    assert len(set(hospital.patients["pat_id"])) == len(hospital.patients)
    assert len(set(hospital.patients["mrn"])) == len(hospital.patients)


def test_children_refer_to_rows_that_exist(hospital: Hospital) -> None:
    patients = set(hospital.patients["pat_id"])
    for table in (hospital.visits, hospital.diagnoses, hospital.allergies):
        assert {pat_id.strip() for pat_id in table["pat_id"]} <= patients
    assert set(hospital.diagnoses["visit_id"]) <= set(hospital.visits["visit_id"])
    assert {m for m in hospital.patients["mother_pat_id"] if m is not None} <= patients


def test_mothers_are_women_who_were_old_enough(hospital: Hospital) -> None:
    people = hospital.patients
    row_of = {pat_id: row for row, pat_id in enumerate(people["pat_id"])}
    pairs = [(c, row_of[m]) for c, m in enumerate(people["mother_pat_id"]) if m is not None]
    assert len(pairs) > 300
    for child, mother in pairs:
        assert people.facts["female"][mother]
        years = people.facts["born"][child] - people.facts["born"][mother]
        assert years >= np.timedelta64(14 * 365, "D")


def test_it_is_dirty_in_the_ways_of_legacy_data(hospital: Hospital) -> None:
    people, visits = hospital.patients, hospital.visits
    assert {re.sub(r"\d", "9", dob) for dob in people["dob"]} == {"99/99/9999", "99999999"}
    assert {"M", "F", "1", "2", "m", "f", " F", "M "} == set(people["sex"])
    assert any(name != name.strip() for name in people["pat_lname"])
    assert any(name.isupper() for name in people["pat_lname"])
    assert any(name.islower() for name in people["pat_lname"])
    assert any(not name.isascii() for name in people["pat_lname"])
    assert {"", None} <= set(people["phone"])
    assert any(pat_id != pat_id.strip() for pat_id in visits["pat_id"])
    assert {re.sub(r"\d", "9", m) for m in visits["admit_dt"]} == {
        "9999-99-99 99:99:99",
        "99/99/9999 99:99",
    }


def test_telephone_numbers_are_those_reserved_for_fiction(hospital: Hospital) -> None:
    for phone in hospital.patients["phone"]:
        digits = re.sub(r"\D", "", phone or "")
        assert not digits or re.fullmatch(r"\d{3}55501\d\d", digits)


def test_codes_come_by_realistic_frequency_with_a_long_tail(hospital: Hospital) -> None:
    codes = Counter(hospital.diagnoses["diagnosis_code"])
    assert "401.1" in [code for code, _ in codes.most_common(2)]
    assert codes["250.00"] > codes["714.0"] > 0
    assert len(codes) > 1000


def test_codes_befit_age_and_sex(hospital: Hospital) -> None:
    diagnoses, visits = hospital.diagnoses, hospital.visits
    visit = diagnoses.facts["visit"]
    ages = visits.facts["age"][visit]
    female = hospital.patients.facts["female"][visits.facts["patient"][visit]]
    for code, age, is_female in zip(diagnoses["diagnosis_code"], ages, female, strict=True):
        if code == "650":
            assert is_female
            assert 18 <= age < 45
        if code == "V30.00":
            assert age == 0


def test_the_categories_written_down_by_hand_are_those_of_the_packaged_gem() -> None:
    gem = packaged_gem("icd9_to_icd10")
    sources = gem.codes.column("source_code").to_pylist()
    category = dict(zip(sources, gem.codes.column("category").to_pylist(), strict=True))

    def categories(codes: Iterable[str]) -> set[GemCategory]:
        return {GemCategory(category.get(c.replace(".", ""), "unknown_code")) for c in codes}

    single = {GemCategory.EXACT, GemCategory.APPROXIMATE}
    assert categories(c.code for c in COMMON if c.code not in CLUSTERS) == single
    assert categories(CLUSTERS) == {GemCategory.CLUSTER}
    assert {c.code for c in COMMON} >= set(CLUSTERS)
    assert categories(single_target_codes()) == single
    assert {c.reason for c in categories(CHOICE)} == {"choice"}
    assert len(categories(CHOICE)) == 4
    assert categories(NO_MAP) == {GemCategory.NO_MAP}
    assert categories(UNKNOWN) == {GemCategory.UNKNOWN_CODE}


def test_the_outdated_targets_written_down_by_hand_are_those_of_the_packaged_map() -> None:
    gem = packaged_gem("icd9_to_icd10")
    outdated = target_check(gem, Outdated.WARN, None).outdated
    targets: dict[str, set[str | None]] = {}
    for row in gem.entries.to_pylist():
        targets.setdefault(row["source_code"], set()).add(row["target_code"])
    common = [c.code for c in COMMON]
    assert {c for c in common if targets[c.replace(".", "")] & outdated} == set(OUTDATED)
    assert not {c for c in single_target_codes() if targets[c.replace(".", "")] & outdated}


def test_the_targets_of_the_clusters_written_down_by_hand_are_those_of_the_packaged_gem() -> None:
    gem = packaged_gem("icd9_to_icd10")
    targets: dict[str, list[str]] = {}
    for row in gem.entries.to_pylist():
        targets.setdefault(row["source_code"], []).append(row["target_code"])
    for code, expected in CLUSTERS.items():
        assert sorted(targets[code.replace(".", "")]) == sorted(
            t.replace(".", "") for t in expected
        )
