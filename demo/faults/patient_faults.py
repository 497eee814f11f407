"""Faults of the legacy patients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from demo.faults.fault import Fault, Ground, Violation, fault
from demo.tables import Rows

FAULTS: list[Fault] = []
"""In the order in which they are put."""

_fault = partial(fault, FAULTS, "patients")

_UNREADABLE_BIRTH_DATE = Violation("DATA-003", "birth_date.type")
_UNKNOWN_SEX = Violation("TRANS-002", "sex.map")
_MISSING_LAST_NAME = Violation("DATA-001", "LAST_NAME_REQUIRED")
_ODD_ZIP = Violation("DATA-005", "ZIP_LOOKS_RIGHT", warning=True)
_MISSING_MOTHER = Violation("DATA-002", "mother_id.ref")
_LOSING_DUPLICATE = Violation("DATA-004", None)


def _children(ground: Ground) -> Rows:
    """Untouched patients who are young enough for their mother to be in the records."""
    born = ground.hospital.patients.facts["born"]
    return np.flatnonzero(ground.untouched & (born > np.datetime64("1994-01-01")))


def _without_records(ground: Ground) -> Rows:
    """Untouched patients of whom there is nothing but the patient's row."""
    hospital = ground.hospital
    alone = ground.untouched.copy()
    for table in (hospital.visits, hospital.allergies):
        alone[table.facts["patient"]] = False
    return np.flatnonzero(alone)


def _where(fault: str) -> Callable[[Ground], Rows]:
    return lambda ground: ground.rows_of[fault]


@_fault(6, Violation("DATA-001", "PATIENT_ID_REQUIRED"))
def patient_id_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["pat_id"][rows] = ground.one_of((None, "", "   "), rows)


@_fault(6, _MISSING_LAST_NAME)
def last_name_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["pat_lname"][rows] = ground.one_of(("  ", "", None), rows)


@_fault(6, Violation("DATA-001", "BIRTH_NOT_IN_FUTURE"))
def birth_in_future(ground: Ground, rows: Rows) -> None:
    dates = ("01/15/2093", "20880704", "12/31/2099")
    ground.hospital.patients["dob"][rows] = ground.one_of(dates, rows)


@_fault(8, _UNREADABLE_BIRTH_DATE)
def birth_date_unreadable(ground: Ground, rows: Rows) -> None:
    dates = ("02/30/1961", "4/7/61", "UNKNOWN", "13/45/1970", "00000000", "1958")
    ground.hospital.patients["dob"][rows] = ground.one_of(dates, rows)


@_fault(6, Violation("DATA-003", "state.type"))
def state_too_long(ground: Ground, rows: Rows) -> None:
    states = ("Massachusetts", "R.I.", "Conn")
    ground.hospital.patients["state"][rows] = ground.one_of(states, rows)


@_fault(6, _UNKNOWN_SEX)
def sex_unknown(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["sex"][rows] = ground.one_of(("9", "X", "FM"), rows)


@_fault(4, Violation("TRANS-003", "WEIGHT_IS_PLAUSIBLE"))
def weight_implausible(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["weight_lb"][rows] = ground.one_of(("1720", "0.1", "0"), rows)


@_fault(6, Violation("TRANS-005", None))
def weight_not_computable(ground: Ground, rows: Rows) -> None:
    """The expression that turns pounds into kilograms raises."""
    weights = ("unk", "17O", "72 kg", "150-160")
    ground.hospital.patients["weight_lb"][rows] = ground.one_of(weights, rows)


@_fault(4, Violation("TRANS-004", None))
def birth_date_refused_by_the_target(ground: Ground, rows: Rows) -> None:
    """A date like any other, until the target's CHECK constraint sees it."""
    dates = ("01/01/1800", "18500615", "12/31/1889")
    ground.hospital.patients["dob"][rows] = ground.one_of(dates, rows)


@_fault(20, _ODD_ZIP)
def zip_odd(ground: Ground, rows: Rows) -> None:
    """A warning; the row goes in."""
    ground.hospital.patients["zip"][rows] = ground.one_of(("2118", "O2118", "021180"), rows)


@_fault(4, _MISSING_LAST_NAME, _UNREADABLE_BIRTH_DATE, _UNKNOWN_SEX, _ODD_ZIP)
def patient_wrong_in_many_ways(ground: Ground, rows: Rows) -> None:
    last_name_missing(ground, rows)
    birth_date_unreadable(ground, rows)
    sex_unknown(ground, rows)
    zip_odd(ground, rows)


@_fault(10, _LOSING_DUPLICATE)
def registered_twice(ground: Ground, rows: Rows) -> Rows:
    """A second row of a patient, changed before the sound one: it loses."""
    return _append_older_rows(ground, rows)


def _append_older_rows(ground: Ground, rows: Rows) -> Rows:
    people = ground.hospital.patients
    ids = people["id"].max() + 1 + np.arange(len(rows))
    earlier = people["updated_at"][rows] - np.timedelta64(400, "D")
    return people.append_copies(rows, id=ids, updated_at=earlier)


@_fault(2, _LOSING_DUPLICATE, among=_where("birth_date_unreadable"))
def registered_twice_and_winner_rejected(ground: Ground, rows: Rows) -> Rows:
    """The row changed last wins and has an unreadable birth date, so neither goes in."""
    people = ground.hospital.patients
    losers = _append_older_rows(ground, rows)
    people["dob"][losers] = "07/04/1961"
    return losers


@_fault(4, Violation("DATA-004", None), among=_without_records)
def in_the_target_before(ground: Ground, rows: Rows) -> None:
    people, earlier = ground.hospital.patients, ground.hospital.earlier
    women = people.facts["female"][rows]
    earlier.columns |= {
        "patient_id": people["pat_id"][rows],
        "mrn": people["mrn"][rows],
        "last_name": np.full(len(rows), "MOVED EARLIER", dtype=object),
        "birth_date": people.facts["born"][rows],
        "sex": np.where(women, "F", "M"),
    }


@_fault(3, _MISSING_MOTHER, among=_children)
def mother_unknown(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["mother_pat_id"][rows] = [f"PAT_9{row:07d}" for row in rows]


@_fault(3, _MISSING_MOTHER, among=_children)
def mother_rejected(ground: Ground, rows: Rows) -> None:
    _give_mothers(ground, rows, ground.rows_of["state_too_long"])


@_fault(2, _MISSING_MOTHER, among=_children)
def mother_rejected_for_want_of_her_own(ground: Ground, rows: Rows) -> None:
    """The mother is rejected only when the second pass misses her own mother."""
    _give_mothers(ground, rows, ground.rows_of["mother_unknown"])


@_fault(2, _MISSING_MOTHER, among=_children)
def mother_deleted(ground: Ground, rows: Rows) -> None:
    people = ground.hospital.patients
    deleted = np.flatnonzero(people.facts["skipped"])
    _give_mothers(ground, rows, deleted)


@_fault(2, _MISSING_MOTHER, Violation("DATA-001", "BIRTH_NOT_IN_FUTURE"), among=_children)
def mother_unknown_and_birth_in_future(ground: Ground, rows: Rows) -> None:
    """The second pass looks at a row that the first has rejected already."""
    mother_unknown(ground, rows)
    birth_in_future(ground, rows)


def _give_mothers(ground: Ground, rows: Rows, mothers: Rows) -> None:
    people = ground.hospital.patients
    chosen = mothers[ground.rng.integers(0, len(mothers), len(rows))]
    people["mother_pat_id"][rows] = people["pat_id"][chosen]
