"""Faults of the legacy visits."""

from __future__ import annotations

from functools import partial

from demo.faults.fault import Fault, Ground, Violation, fault
from demo.tables import Rows

FAULTS: list[Fault] = []
"""In the order in which they are put."""

_fault = partial(fault, FAULTS, "encounters")

_ORPHANED_VISIT = Violation("DATA-002", "patient_id.ref")
_UNREADABLE_ADMISSION = Violation("DATA-003", "admitted_at.type")
_UNKNOWN_VISIT_TYPE = Violation("TRANS-002", "encounter_class.map")
_CLOSED_FACILITY = Violation("DATA-002", "facility_code.ref", warning=True)


@_fault(5, _ORPHANED_VISIT)
def visit_of_nobody(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["pat_id"][rows] = [f"PAT_8{row:07d}" for row in rows]


@_fault(4, Violation("DATA-001", "ADMISSION_REQUIRED"))
def admission_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["admit_dt"][rows] = ground.one_of((None, "", " "), rows)


@_fault(4, Violation("DATA-001", "ADMITTED_AFTER_BIRTH"))
def admitted_before_birth(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["admit_dt"][rows] = ground.one_of(
        ("1899-12-31 00:00:00", "01/01/1901 08:00"), rows
    )
    ground.hospital.visits["disch_dt"][rows] = None


@_fault(5, _UNREADABLE_ADMISSION)
def admission_unreadable(ground: Ground, rows: Rows) -> None:
    moments = (
        "2012-02-30 10:15:00",
        "03/04/12 10:15",
        "see chart",
        "2011-05-06",
        "00/00/0000 00:00",
    )
    ground.hospital.visits["admit_dt"][rows] = ground.one_of(moments, rows)


@_fault(5, Violation("DATA-003", "total_charges.type"))
def charges_out_of_range(ground: Ground, rows: Rows) -> None:
    amounts = ("123456789012.00", "$999,999,999.99", "12.345", "n/a")
    ground.hospital.visits["charges"][rows] = ground.one_of(amounts, rows)


@_fault(5, _UNKNOWN_VISIT_TYPE)
def visit_type_unknown(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["visit_type"][rows] = ground.one_of(("Q", "7", "OBS"), rows)


@_fault(6, Violation("TRANS-003", "DISCHARGED_AFTER_ADMISSION"))
def discharged_before_admission(ground: Ground, rows: Rows) -> None:
    ground.hospital.visits["disch_dt"][rows] = ground.one_of(
        ("2007-06-15 09:00:00", "12/31/2006 23:59"), rows
    )


@_fault(3, Violation("TRANS-004", None))
def charges_refused_by_the_target(ground: Ground, rows: Rows) -> None:
    """Negative charges: the target's trigger raises."""
    amounts = ("-120.00", "$-15.50", "-0.01")
    ground.hospital.visits["charges"][rows] = ground.one_of(amounts, rows)


@_fault(5, Violation("DATA-005", "STAY_UNDER_A_YEAR", warning=True))
def stay_over_a_year(ground: Ground, rows: Rows) -> None:
    """A warning; the row goes in."""
    ground.hospital.visits["disch_dt"][rows] = "2016-02-29 12:00:00"


@_fault(20, _CLOSED_FACILITY)
def facility_closed(ground: Ground, rows: Rows) -> None:
    """A facility that isn't in the list any more: a warning; the row goes in without it."""
    ground.hospital.visits["fac_cd"][rows] = "CLSD"


@_fault(2, _CLOSED_FACILITY, _UNREADABLE_ADMISSION)
def facility_closed_and_admission_unreadable(ground: Ground, rows: Rows) -> None:
    """A warning on a row that is rejected."""
    facility_closed(ground, rows)
    admission_unreadable(ground, rows)


@_fault(3, _ORPHANED_VISIT, _UNREADABLE_ADMISSION, _UNKNOWN_VISIT_TYPE)
def visit_wrong_in_many_ways(ground: Ground, rows: Rows) -> None:
    visit_of_nobody(ground, rows)
    admission_unreadable(ground, rows)
    visit_type_unknown(ground, rows)
