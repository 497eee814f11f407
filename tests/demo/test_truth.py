from __future__ import annotations

from datetime import date

import pytest

from demo.faults import FAULTS
from demo.truth import LOADS, make_hospital
from tests.support.jobs import demo_by_hand


@pytest.mark.parametrize(("patients", "seed"), [(100, 1), (400, 2), (1500, 3)])
def test_the_truth_is_what_a_reader_of_the_rows_finds(patients: int, seed: int) -> None:
    hospital, truth = make_hospital(patients, seed)
    tables = {t.name: t.to_arrow().to_pylist() for t in hospital.legacy_tables}
    found = demo_by_hand.violations(tables, set(hospital.earlier["patient_id"]), date(2026, 1, 1))
    listed = {
        (v["source_table"], v["source_key"], v["error_code"], v["rule_id"])
        for v in truth.violations.to_pylist()
    }
    assert found == listed
    assert len(listed) == truth.violations.num_rows


@pytest.mark.parametrize("patients", [100, 2000])
def test_every_kind_of_fault_and_every_row_level_code_is_there(patients: int) -> None:
    _, truth = make_hospital(patients, 7)
    faults = set(truth.violations.column("fault").to_pylist())
    assert {fault.name for fault in FAULTS} <= faults
    codes = {"DATA-001", "DATA-002", "DATA-003", "DATA-004", "DATA-005"}
    codes |= {"TRANS-002", "TRANS-003", "TRANS-004", "TRANS-005"}
    assert set(truth.violations.column("error_code").to_pylist()) == codes


def test_each_candidate_is_accepted_rejected_or_skipped() -> None:
    hospital, truth = make_hospital(500, 4)
    counts = {row["load"]: row for row in truth.counts.to_pylist()}
    assert tuple(counts) == LOADS
    for row in counts.values():
        assert row["candidates"] == row["accepted"] + row["rejected"] + row["skipped"]
    assert [counts[load]["candidates"] for load in LOADS] == [
        len(table) for table in hospital.legacy_tables
    ]
    rejecting = {
        (v["load"], v["source_key"]) for v in truth.violations.to_pylist() if not v["warning"]
    }
    for load, row in counts.items():
        assert row["rejected"] == sum(of == load for of, _ in rejecting)
    assert counts["conditions"]["expanded"] > 0
    assert all(row["skipped"] > 0 for load, row in counts.items() if load not in ("facilities",))


def test_a_fault_stands_on_a_small_share_of_the_rows() -> None:
    _, truth = make_hospital(5000, 5)
    for row in truth.counts.to_pylist():
        assert row["rejected"] < 0.05 * row["candidates"]
