"""The faults: what a migration with ``demo/hospital.yaml`` must find, one function a kind.

A fault is put on rows that are sound otherwise, and says which violations it must give. A
kind that spoils several fields of a row gives all of theirs. What follows for other rows,
such as the visits of a patient who is rejected, is worked out in ``demo.truth``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demo.diagnosis_codes import CHOICE, EXTERNAL_CAUSES, NO_MAP, UNKNOWN
from demo.tables import Column, Hospital, Rows, Table

ACCEPTED, REJECTED, SKIPPED = 0, 1, 2


@dataclass(frozen=True)
class Violation:
    """What is found on a row; ``rule`` is None where the specification names no rule."""

    code: str
    rule: str | None
    warning: bool = False


@dataclass
class Ground:
    """The hospital while faults are put into it.

    ``untouched`` marks, for the load at hand, rows that have no fault and that nothing
    else relies on. ``rows_of`` tells where each kind of fault was put, ``outcome`` what
    becomes of the rows of the loads before.
    """

    hospital: Hospital
    rng: np.random.Generator
    untouched: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    rows_of: dict[str, Rows] = field(default_factory=dict)
    outcome: dict[str, npt.NDArray[np.int8]] = field(default_factory=dict)

    def one_of(self, values: tuple[object, ...], rows: Rows) -> Column:
        """One of the values for each row; the first row gets the first value."""
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        chosen = self.rng.integers(0, len(values), len(rows))
        chosen[:1] = 0
        return texts[chosen]


@dataclass(frozen=True)
class Fault:
    """A kind of fault: how often it is put where, and what must be found of it.

    ``put`` changes the rows that it is given and returns the rows on which ``violations``
    stand. ``among`` are the rows to choose from, if not all that are untouched.
    """

    name: str
    load: str
    per_10_000: float
    violations: tuple[Violation, ...]
    put: Callable[[Ground, Rows], Rows | None]
    among: Callable[[Ground], Rows] | None


FAULTS: list[Fault] = []


def _fault(
    load: str,
    per_10_000: float,
    *violations: Violation,
    among: Callable[[Ground], Rows] | None = None,
) -> Callable[[Callable[[Ground, Rows], Rows | None]], Callable[[Ground, Rows], Rows | None]]:
    def register(
        put: Callable[[Ground, Rows], Rows | None],
    ) -> Callable[[Ground, Rows], Rows | None]:
        FAULTS.append(Fault(put.__name__, load, per_10_000, violations, put, among))
        return put

    return register


def table_of(hospital: Hospital, load: str) -> Table:
    """The legacy table that a load reads."""
    tables = {
        "facilities": hospital.facilities,
        "patients": hospital.patients,
        "encounters": hospital.visits,
        "conditions": hospital.diagnoses,
        "allergies": hospital.allergies,
    }
    return tables[load]


# -- patients -------------------------------------------------------------------------------

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


@_fault("patients", 6, Violation("DATA-001", "PATIENT_ID_REQUIRED"))
def patient_id_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["pat_id"][rows] = ground.one_of((None, "", "   "), rows)


@_fault("patients", 6, _MISSING_LAST_NAME)
def last_name_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["pat_lname"][rows] = ground.one_of(("  ", "", None), rows)


@_fault("patients", 6, Violation("DATA-001", "BIRTH_NOT_IN_FUTURE"))
def birth_in_future(ground: Ground, rows: Rows) -> None:
    dates = ("01/15/2093", "20880704", "12/31/2099")
    ground.hospital.patients["dob"][rows] = ground.one_of(dates, rows)


@_fault("patients", 8, _UNREADABLE_BIRTH_DATE)
def birth_date_unreadable(ground: Ground, rows: Rows) -> None:
    dates = ("02/30/1961", "4/7/61", "UNKNOWN", "13/45/1970", "00000000", "1958")
    ground.hospital.patients["dob"][rows] = ground.one_of(dates, rows)


@_fault("patients", 6, Violation("DATA-003", "state.type"))
def state_too_long(ground: Ground, rows: Rows) -> None:
    states = ("Massachusetts", "R.I.", "Conn")
    ground.hospital.patients["state"][rows] = ground.one_of(states, rows)


@_fault("patients", 6, _UNKNOWN_SEX)
def sex_unknown(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["sex"][rows] = ground.one_of(("9", "X", "FM"), rows)


@_fault("patients", 4, Violation("TRANS-003", "WEIGHT_IS_PLAUSIBLE"))
def weight_implausible(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["weight_lb"][rows] = ground.one_of(("1720", "0.1", "0"), rows)


@_fault("patients", 6, Violation("TRANS-005", None))
def weight_not_computable(ground: Ground, rows: Rows) -> None:
    """The expression that turns pounds into kilograms raises."""
    weights = ("unk", "17O", "72 kg", "150-160")
    ground.hospital.patients["weight_lb"][rows] = ground.one_of(weights, rows)


@_fault("patients", 4, Violation("TRANS-004", None))
def birth_date_refused_by_the_target(ground: Ground, rows: Rows) -> None:
    """A date like any other, until the target's CHECK constraint sees it."""
    dates = ("01/01/1800", "18500615", "12/31/1889")
    ground.hospital.patients["dob"][rows] = ground.one_of(dates, rows)


@_fault("patients", 20, _ODD_ZIP)
def zip_odd(ground: Ground, rows: Rows) -> None:
    """A warning; the row goes in."""
    ground.hospital.patients["zip"][rows] = ground.one_of(("2118", "O2118", "021180"), rows)


@_fault("patients", 4, _MISSING_LAST_NAME, _UNREADABLE_BIRTH_DATE, _UNKNOWN_SEX, _ODD_ZIP)
def patient_wrong_in_many_ways(ground: Ground, rows: Rows) -> None:
    last_name_missing(ground, rows)
    birth_date_unreadable(ground, rows)
    sex_unknown(ground, rows)
    zip_odd(ground, rows)


@_fault("patients", 10, _LOSING_DUPLICATE)
def registered_twice(ground: Ground, rows: Rows) -> Rows:
    """A second row of a patient, changed before the sound one: it loses."""
    return _append_older_rows(ground, rows)


def _append_older_rows(ground: Ground, rows: Rows) -> Rows:
    people = ground.hospital.patients
    ids = people["id"].max() + 1 + np.arange(len(rows))
    earlier = people["updated_at"][rows] - np.timedelta64(400, "D")
    return people.append_copies(rows, id=ids, updated_at=earlier)


@_fault("patients", 2, _LOSING_DUPLICATE, among=_where("birth_date_unreadable"))
def registered_twice_and_winner_rejected(ground: Ground, rows: Rows) -> Rows:
    """The row changed last wins and has an unreadable birth date, so neither goes in."""
    people = ground.hospital.patients
    losers = _append_older_rows(ground, rows)
    people["dob"][losers] = "07/04/1961"
    return losers


@_fault("patients", 4, Violation("DATA-004", None), among=_without_records)
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


@_fault("patients", 3, _MISSING_MOTHER, among=_children)
def mother_unknown(ground: Ground, rows: Rows) -> None:
    ground.hospital.patients["mother_pat_id"][rows] = [f"PAT_9{row:07d}" for row in rows]


@_fault("patients", 3, _MISSING_MOTHER, among=_children)
def mother_rejected(ground: Ground, rows: Rows) -> None:
    _give_mothers(ground, rows, ground.rows_of["state_too_long"])


@_fault("patients", 2, _MISSING_MOTHER, among=_children)
def mother_rejected_for_want_of_her_own(ground: Ground, rows: Rows) -> None:
    """The mother is rejected only when the second pass misses her own mother."""
    _give_mothers(ground, rows, ground.rows_of["mother_unknown"])


@_fault("patients", 2, _MISSING_MOTHER, among=_children)
def mother_deleted(ground: Ground, rows: Rows) -> None:
    people = ground.hospital.patients
    deleted = np.flatnonzero(people.facts["skipped"])
    _give_mothers(ground, rows, deleted)


@_fault(
    "patients", 2, _MISSING_MOTHER, Violation("DATA-001", "BIRTH_NOT_IN_FUTURE"), among=_children
)
def mother_unknown_and_birth_in_future(ground: Ground, rows: Rows) -> None:
    """The second pass looks at a row that the first has rejected already."""
    mother_unknown(ground, rows)
    birth_in_future(ground, rows)


def _give_mothers(ground: Ground, rows: Rows, mothers: Rows) -> None:
    people = ground.hospital.patients
    chosen = mothers[ground.rng.integers(0, len(mothers), len(rows))]
    people["mother_pat_id"][rows] = people["pat_id"][chosen]


# -- visits ---------------------------------------------------------------------------------

_ORPHANED_VISIT = Violation("DATA-002", "patient_id.ref")
_UNREADABLE_ADMISSION = Violation("DATA-003", "admitted_at.type")
_UNKNOWN_VISIT_TYPE = Violation("TRANS-002", "encounter_class.map")
_CLOSED_FACILITY = Violation("DATA-002", "facility_code.ref", warning=True)


@_fault("encounters", 5, _ORPHANED_VISIT)
def visit_of_nobody(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["pat_id"][rows] = [f"PAT_8{row:07d}" for row in rows]


@_fault("encounters", 4, Violation("DATA-001", "ADMISSION_REQUIRED"))
def admission_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["admit_dt"][rows] = ground.one_of((None, "", " "), rows)


@_fault("encounters", 4, Violation("DATA-001", "ADMITTED_AFTER_BIRTH"))
def admitted_before_birth(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["admit_dt"][rows] = ground.one_of(
        ("1899-12-31 00:00:00", "01/01/1901 08:00"), rows
    )
    ground.hospital.visits["disch_dt"][rows] = None


@_fault("encounters", 5, _UNREADABLE_ADMISSION)
def admission_unreadable(ground: Ground, rows: Rows) -> None:
    moments = (
        "2012-02-30 10:15:00",
        "03/04/12 10:15",
        "see chart",
        "2011-05-06",
        "00/00/0000 00:00",
    )
    ground.hospital.visits["admit_dt"][rows] = ground.one_of(moments, rows)


@_fault("encounters", 5, Violation("DATA-003", "total_charges.type"))
def charges_out_of_range(ground: Ground, rows: Rows) -> None:
    amounts = ("123456789012.00", "$999,999,999.99", "12.345", "n/a")
    ground.hospital.visits["charges"][rows] = ground.one_of(amounts, rows)


@_fault("encounters", 5, _UNKNOWN_VISIT_TYPE)
def visit_type_unknown(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["visit_type"][rows] = ground.one_of(("Q", "7", "OBS"), rows)


@_fault("encounters", 6, Violation("TRANS-003", "DISCHARGED_AFTER_ADMISSION"))
def discharged_before_admission(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["disch_dt"][rows] = ground.one_of(
        ("2007-06-15 09:00:00", "12/31/2006 23:59"), rows
    )


@_fault("encounters", 3, Violation("TRANS-004", None))
def charges_refused_by_the_target(ground: Ground, rows: Rows) -> None:
    """Negative charges: the target's trigger raises."""
    amounts = ("-120.00", "$-15.50", "-0.01")
    ground.hospital.visits["charges"][rows] = ground.one_of(amounts, rows)


@_fault("encounters", 5, Violation("DATA-005", "STAY_UNDER_A_YEAR", warning=True))
def stay_over_a_year(ground: Ground, rows: Rows) -> None:
    """A warning; the row goes in."""
    ground.hospital.visits["disch_dt"][rows] = "2016-02-29 12:00:00"


@_fault("encounters", 20, _CLOSED_FACILITY)
def facility_closed(ground: Ground, rows: Rows) -> None:
    """A facility that isn't in the list any more: a warning; the row goes in without it."""
    ground.hospital.visits["fac_cd"][rows] = "CLSD"


@_fault("encounters", 2, _CLOSED_FACILITY, _UNREADABLE_ADMISSION)
def facility_closed_and_admission_unreadable(ground: Ground, rows: Rows) -> None:
    """A warning on a row that is rejected."""
    facility_closed(ground, rows)
    admission_unreadable(ground, rows)


@_fault("encounters", 3, _ORPHANED_VISIT, _UNREADABLE_ADMISSION, _UNKNOWN_VISIT_TYPE)
def visit_wrong_in_many_ways(ground: Ground, rows: Rows) -> None:
    visit_of_nobody(ground, rows)
    admission_unreadable(ground, rows)
    visit_type_unknown(ground, rows)


# -- diagnoses ------------------------------------------------------------------------------

_UNTRANSLATABLE = Violation("TRANS-002", "code.map")
_RANK_OUT_OF_RANGE = Violation("DATA-003", "rank.type")


def _of_rejected_visits(ground: Ground) -> Rows:
    diagnoses = ground.hospital.diagnoses
    lost = ground.outcome["encounters"][diagnoses.facts["visit"]] == REJECTED
    return np.flatnonzero(lost & ~diagnoses.facts["skipped"])


def _first_diagnoses(ground: Ground) -> Rows:
    return np.flatnonzero(ground.untouched & (ground.hospital.diagnoses.facts["rank"] == 1))


@_fault("conditions", 4, Violation("DATA-002", "encounter_id.ref"))
def diagnosis_of_no_visit(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["visit_id"][rows] = 90_000_000 + rows


@_fault("conditions", 30, _UNTRANSLATABLE)
def code_with_a_choice(ground: Ground, rows: Rows) -> None:
    """Half of them hyperlipidemia, which is by far the most frequent of these codes."""
    codes = CHOICE + CHOICE[:1] * len(CHOICE)
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of(codes, rows)


@_fault("conditions", 4, _UNTRANSLATABLE)
def code_without_a_map(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of(NO_MAP, rows)


@_fault("conditions", 6, _UNTRANSLATABLE)
def code_unknown(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of(UNKNOWN, rows)


@_fault("conditions", 3, Violation("DATA-001", "DIAGNOSIS_CODE_REQUIRED"))
def code_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of((None, "", "  "), rows)


@_fault("conditions", 3, _RANK_OUT_OF_RANGE)
def rank_out_of_range(ground: Ground, rows: Rows) -> None:
    ground.hospital.diagnoses["seq_no"][rows] = ground.one_of(("99999", "1st", "2.5"), rows)


@_fault("conditions", 3, Violation("TRANS-003", "PATIENT_OF_THE_VISIT"))
def diagnosis_of_another_patient(ground: Ground, rows: Rows) -> None:
    """The diagnosis names another patient than its visit does."""
    hospital = ground.hospital
    own = hospital.visits.facts["patient"][hospital.diagnoses.facts["visit"][rows]]
    accepted = np.flatnonzero(ground.outcome["patients"] == ACCEPTED)
    place = np.searchsorted(accepted, own)
    others = accepted[(place + 1) % len(accepted)]
    hospital.diagnoses["pat_id"][rows] = hospital.patients["pat_id"][others]


@_fault(
    "conditions",
    3,
    Violation("DATA-005", "FIRST_IS_NO_EXTERNAL_CAUSE", warning=True),
    among=_first_diagnoses,
)
def external_cause_first(ground: Ground, rows: Rows) -> None:
    """A warning; the row goes in."""
    ground.hospital.diagnoses["diagnosis_code"][rows] = ground.one_of(EXTERNAL_CAUSES, rows)


@_fault("conditions", 2, _UNTRANSLATABLE, _RANK_OUT_OF_RANGE)
def diagnosis_wrong_in_many_ways(ground: Ground, rows: Rows) -> None:
    code_with_a_choice(ground, rows)
    rank_out_of_range(ground, rows)


@_fault("conditions", 1, _UNTRANSLATABLE, among=_of_rejected_visits)
def code_without_a_map_under_a_rejected_visit(ground: Ground, rows: Rows) -> None:
    code_without_a_map(ground, rows)


# -- allergies ------------------------------------------------------------------------------


@_fault("allergies", 5, Violation("DATA-001", "ALLERGEN_REQUIRED"))
def allergen_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.allergies["allergen"][rows] = ground.one_of(("", None), rows)


@_fault("allergies", 5, Violation("DATA-003", "reaction.type"))
def reaction_too_long(ground: Ground, rows: Rows) -> None:
    story = "rash on both arms, later on the trunk, gone after three days of antihistamines"
    ground.hospital.allergies["reaction"][rows] = story


@_fault("allergies", 5, Violation("DATA-003", "onset_date.type"))
def onset_unreadable(ground: Ground, rows: Rows) -> None:
    ground.hospital.allergies["onset"][rows] = ground.one_of(
        ("childhood", "06/31/1999", "1999"), rows
    )
