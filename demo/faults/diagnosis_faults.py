"""Faults of the legacy diagnoses."""

from __future__ import annotations

from functools import partial

import numpy as np

from demo.diagnosis_codes import CHOICE, EXTERNAL_CAUSES, NO_MAP, UNKNOWN
from demo.faults.fault import ACCEPTED, REJECTED, Fault, Ground, Violation, fault
from demo.tables import Rows

FAULTS: list[Fault] = []
"""In the order in which they are put."""

_fault = partial(fault, FAULTS, "conditions")

_UNTRANSLATABLE = Violation("TRANS-002", "code.map")
_RANK_OUT_OF_RANGE = Violation("DATA-003", "rank.type")


def _of_rejected_visits(ground: Ground) -> Rows:
    diagnoses = ground.hospital.diagnoses
    lost = ground.outcome["encounters"][diagnoses.facts["visit"]] == REJECTED
    return np.flatnonzero(lost & ~diagnoses.facts["skipped"])


def _first_diagnoses(ground: Ground) -> Rows:
    return np.flatnonzero(ground.untouched & (ground.hospital.diagnoses.facts["rank"] == 1))


@_fault(4, Violation("DATA-002", "encounter_id.ref"))
def diagnosis_of_no_visit(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["visit_id"][rows] = 90_000_000 + rows


@_fault(30, _UNTRANSLATABLE)
def code_with_a_choice(ground: Ground, rows: Rows) -> None:
    """Half of them hyperlipidemia, which is by far the most frequent of these codes."""
    codes = CHOICE + CHOICE[:1] * len(CHOICE)
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of(codes, rows)


@_fault(4, _UNTRANSLATABLE)
def code_without_a_map(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of(NO_MAP, rows)


@_fault(6, _UNTRANSLATABLE)
def code_unknown(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of(UNKNOWN, rows)


@_fault(3, Violation("DATA-001", "DIAGNOSIS_CODE_REQUIRED"))
def code_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of((None, "", "  "), rows)


@_fault(3, _RANK_OUT_OF_RANGE)
def rank_out_of_range(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["seq_no"][rows] = ground.one_of(("99999", "1st", "2.5"), rows)


@_fault(3, Violation("TRANS-003", "PATIENT_OF_THE_VISIT"))
def diagnosis_of_another_patient(ground: Ground, rows: Rows) -> None:
    """The diagnosis names another patient than its visit does."""
    hospital = ground.hospital
    own = hospital.visits.facts["patient"][hospital.diagnoses.facts["visit"][rows]]
    accepted = np.flatnonzero(ground.outcome["patients"] == ACCEPTED)
    place = np.searchsorted(accepted, own)
    others = accepted[(place + 1) % len(accepted)]
    hospital.diagnoses["pat_id"][rows] = hospital.patients["pat_id"][others]


@_fault(
    3,
    Violation("DATA-005", "FIRST_IS_NO_EXTERNAL_CAUSE", warning=True),
    among=_first_diagnoses,
)
def external_cause_first(ground: Ground, rows: Rows) -> None:
    """A warning; the row goes in."""
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of(EXTERNAL_CAUSES, rows)


@_fault(2, _UNTRANSLATABLE, _RANK_OUT_OF_RANGE)
def diagnosis_wrong_in_many_ways(ground: Ground, rows: Rows) -> None:
    code_with_a_choice(ground, rows)
    rank_out_of_range(ground, rows)


@_fault(1, _UNTRANSLATABLE, among=_of_rejected_visits)
def code_without_a_map_under_a_rejected_visit(ground: Ground, rows: Rows) -> None:
    code_without_a_map(ground, rows)
