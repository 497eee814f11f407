"""The truth about the demo hospital: what becomes of each row, and every violation.

Faults are put in load by load. After each load it is settled which of its rows reach the
target, because the rows that refer to one that doesn't are rejected as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from demo.diagnosis_codes import CLUSTERS, OUTDATED
from demo.faults import FAULTS
from demo.faults.fault import ACCEPTED, REJECTED, SKIPPED, Ground, Violation, table_of
from demo.generate import generate
from demo.tables import Column, Hospital, Rows

LOADS = ("facilities", "patients", "encounters", "conditions", "allergies")

PARENT_REJECTED = "parent_rejected"
"""Names, in the list of violations, what follows from a fault of another row."""

OUTDATED_TARGET = "outdated_target"
"""Names what follows from a map that is older than the release of its targets."""

Outcome = npt.NDArray[np.int8]


@dataclass
class Truth:
    """What a migration of the hospital must find.

    ``violations`` has the columns load, source_table, source_key, error_code, rule_id
    (null where the check has no name), warning (bool) and fault, each violation once.
    ``counts`` has a row for each load: candidates, accepted, rejected, skipped, expanded.
    """

    violations: pa.Table
    counts: pa.Table


@dataclass
class _Book:
    """The violations noted so far: (load, row, violation) -> the fault that is to blame."""

    hospital: Hospital
    noted: dict[tuple[str, int, Violation], str] = field(default_factory=dict)

    def note(self, load: str, rows: Iterable[int], violation: Violation, fault: str) -> None:
        for row in rows:
            self.noted.setdefault((load, int(row), violation), fault)

    def rejected(self, load: str) -> Rows:
        found = {row for at, row, v in self.noted if at == load and not v.warning}
        return np.array(sorted(found), dtype=np.int64)

    def table(self) -> pa.Table:
        rows = []
        for (load, row, violation), fault in self.noted.items():
            source = table_of(self.hospital, load)
            rows.append(
                {
                    "load": load,
                    "source_table": source.name,
                    "source_key": str(source[source.key][row]),
                    "error_code": violation.code,
                    "rule_id": violation.rule,
                    "warning": violation.warning,
                    "fault": fault,
                }
            )
        return pa.Table.from_pylist(rows)


def make_hospital(patients: int, seed: int) -> tuple[Hospital, Truth]:
    """A hospital with faults, and the truth about it."""
    hospital = generate(patients, seed)
    ground = Ground(hospital, np.random.default_rng([seed, 5]))
    book = _Book(hospital)
    for load in LOADS:
        ground.untouched = _untouched(ground, load)
        _put_faults(ground, book, load)
        ground.outcome[load] = _SETTLE[load](ground, book)
    counts = [
        {
            "load": load,
            "candidates": len(ground.outcome[load]),
            "accepted": int((ground.outcome[load] == ACCEPTED).sum()),
            "rejected": int((ground.outcome[load] == REJECTED).sum()),
            "skipped": int((ground.outcome[load] == SKIPPED).sum()),
            "expanded": _expanded(ground) if load == "conditions" else 0,
        }
        for load in LOADS
    ]
    return hospital, Truth(book.table(), pa.Table.from_pylist(counts))


def _put_faults(ground: Ground, book: _Book, load: str) -> None:
    for fault in FAULTS:
        if fault.load != load:
            continue
        candidates = (
            np.flatnonzero(ground.untouched) if fault.among is None else fault.among(ground)
        )
        size = len(table_of(ground.hospital, load))
        count = min(max(1, round(fault.per_10_000 * size / 10_000)), len(candidates))
        chosen = np.sort(ground.rng.choice(candidates, count, replace=False))
        appended = fault.put(ground, chosen)
        rows = chosen if appended is None else appended
        ground.rows_of[fault.name] = rows
        grown = np.zeros(len(table_of(ground.hospital, load)), dtype=bool)
        grown[: len(ground.untouched)] = ground.untouched
        grown[chosen] = False
        ground.untouched = grown
        for violation in fault.violations:
            book.note(load, rows, violation, fault.name)


def _untouched(ground: Ground, load: str) -> npt.NDArray[np.bool_]:
    """The rows of a load that will reach the target if nothing is done to them."""
    hospital = ground.hospital
    table = table_of(hospital, load)
    if load == "facilities":
        return np.ones(len(table), dtype=bool)
    sound: npt.NDArray[np.bool_] = ~table.facts["skipped"]
    if load == "patients":
        mothers = set(table["mother_pat_id"])
        sound &= np.array([pat_id not in mothers for pat_id in table["pat_id"]])
    elif load == "conditions":
        visit = table.facts["visit"]
        patient = hospital.visits.facts["patient"][visit]
        sound &= ground.outcome["encounters"][visit] == ACCEPTED
        sound &= ground.outcome["patients"][patient] == ACCEPTED
    else:
        sound &= ground.outcome["patients"][table.facts["patient"]] == ACCEPTED
    return sound


def _own_outcome(ground: Ground, book: _Book, load: str) -> Outcome:
    """What becomes of the rows as far as it is decided by themselves."""
    table = table_of(ground.hospital, load)
    outcome = np.full(len(table), ACCEPTED, dtype=np.int8)
    outcome[book.rejected(load)] = REJECTED
    if "skipped" in table.facts:
        outcome[table.facts["skipped"]] = SKIPPED
    return outcome


def _settle_facilities(ground: Ground, book: _Book) -> Outcome:
    return _own_outcome(ground, book, "facilities")


def _settle_patients(ground: Ground, book: _Book) -> Outcome:
    """Children of mothers who don't arrive are rejected, and so on down the generations."""
    people = ground.hospital.patients
    outcome = _own_outcome(ground, book, "patients")
    has_mother = np.array([mother is not None for mother in people["mother_pat_id"]])
    children = np.flatnonzero(has_mother & (outcome != SKIPPED))
    motherless: list[int] = []
    arrived = -1
    while arrived != (arrived := int((outcome == ACCEPTED).sum())):
        arrival = _arrivals(people["pat_id"], outcome)
        motherless = [
            c for c in children.tolist() if arrival.get(people["mother_pat_id"][c]) != ACCEPTED
        ]
        outcome[motherless] = REJECTED
    book.note("patients", motherless, Violation("DATA-002", "mother_id.ref"), PARENT_REJECTED)
    return outcome


def _settle_children(
    ground: Ground, book: _Book, load: str, references: dict[str, tuple[Column, dict[object, int]]]
) -> Outcome:
    """``references``: for each field the values in the rows, and what became of the parents.

    A row with a skipped parent is skipped; one that lacks a parent is rejected.
    """
    outcome = _own_outcome(ground, book, load)
    parents = {
        name: np.array([arrival.get(value, REJECTED) for value in values], dtype=np.int8)
        for name, (values, arrival) in references.items()
    }
    for found in parents.values():
        outcome[found == SKIPPED] = SKIPPED
    for name, found in parents.items():
        lost = np.flatnonzero((found == REJECTED) & (outcome != SKIPPED))
        outcome[lost] = REJECTED
        book.note(load, lost, Violation("DATA-002", f"{name}.ref"), PARENT_REJECTED)
    return outcome


def _settle_encounters(ground: Ground, book: _Book) -> Outcome:
    patient = (_stripped(ground.hospital.visits["pat_id"]), _patients_arrived(ground))
    return _settle_children(ground, book, "encounters", {"patient_id": patient})


def _settle_conditions(ground: Ground, book: _Book) -> Outcome:
    hospital = ground.hospital
    encounters = _arrivals(hospital.visits["visit_id"], ground.outcome["encounters"])
    references = {
        "encounter_id": (hospital.diagnoses["visit_id"], encounters),
        "patient_id": (hospital.diagnoses["pat_id"], _patients_arrived(ground)),
    }
    outcome = _settle_children(ground, book, "conditions", references)
    is_outdated = np.isin(hospital.diagnoses["diagnosis_code"].astype(str), OUTDATED)
    rows = np.flatnonzero(is_outdated & (outcome != SKIPPED))
    book.note("conditions", rows, Violation("DATA-005", "code.map", True), OUTDATED_TARGET)
    return outcome


def _settle_allergies(ground: Ground, book: _Book) -> Outcome:
    patient = (ground.hospital.allergies["pat_id"], _patients_arrived(ground))
    return _settle_children(ground, book, "allergies", {"patient_id": patient})


_SETTLE = {
    "facilities": _settle_facilities,
    "patients": _settle_patients,
    "encounters": _settle_encounters,
    "conditions": _settle_conditions,
    "allergies": _settle_allergies,
}


def _patients_arrived(ground: Ground) -> dict[object, int]:
    return _arrivals(ground.hospital.patients["pat_id"], ground.outcome["patients"])


def _arrivals(keys: Column, outcome: Outcome) -> dict[object, int]:
    """The best that became of the rows of each key: accepted, else rejected, else skipped."""
    arrived: dict[object, int] = {}
    for key, result in zip(keys.tolist(), outcome.tolist(), strict=True):
        arrived[key] = min(arrived.get(key, SKIPPED), result)
    return arrived


def _stripped(values: Column) -> Column:
    return np.array([None if v is None else v.strip() for v in values], dtype=object)


def _expanded(ground: Ground) -> int:
    """How many further rows the clusters among the accepted diagnoses make."""
    codes = ground.hospital.diagnoses["diagnosis_code"][ground.outcome["conditions"] == ACCEPTED]
    return sum(len(CLUSTERS[code]) - 1 for code in codes if code in CLUSTERS)
