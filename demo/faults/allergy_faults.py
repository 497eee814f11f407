"""Faults of the legacy allergies."""

from __future__ import annotations

from functools import partial

from demo.faults.fault import Fault, Ground, Violation, fault
from demo.tables import Rows

FAULTS: list[Fault] = []
"""In the order in which they are put."""

_fault = partial(fault, FAULTS, "allergies")


@_fault(5, Violation("DATA-001", "ALLERGEN_REQUIRED"))
def allergen_missing(ground: Ground, rows: Rows) -> None:
    ground.hospital.allergies["allergen"][rows] = ground.one_of(("", None), rows)


@_fault(5, Violation("DATA-003", "reaction.type"))
def reaction_too_long(ground: Ground, rows: Rows) -> None:
    story = "rash on both arms, later on the trunk, gone after three days of antihistamines"
    ground.hospital.allergies["reaction"][rows] = story


@_fault(5, Violation("DATA-003", "onset_date.type"))
def onset_unreadable(ground: Ground, rows: Rows) -> None:
    ground.hospital.allergies["onset"][rows] = ground.one_of(
        ("childhood", "06/31/1999", "1999"), rows
    )
