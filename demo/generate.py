"""Generates the legacy hospital: plausible people and visits, written down in a legacy way.

What is made here is dirty but sound: mixed case and stray blanks, dates in two formats,
codes that changed over the years, blank fields. A migration with ``demo/hospital.yaml``
takes all of it. What it must refuse is added by ``demo.faults``.

The same number of patients and the same seed give the same hospital.
"""

from __future__ import annotations

import numpy as np

from demo.care import make_allergies, make_diagnoses, make_visits
from demo.drawing import texts
from demo.people import make_patients
from demo.tables import Hospital, Table

_FACILITIES = (
    ("MAIN", "General Hospital, Main Campus", "Boston", "612"),
    ("WEST", "General Hospital West", "Worcester", "204"),
    ("CHLD", "Children's Pavilion", "Boston", "118"),
    ("WOMN", "Women's Health Center", "Cambridge", " 96"),
    ("REHB", "Rehabilitation Hospital", "Quincy", "80"),
    ("ASC1", "Ambulatory Surgery Center", "Lowell", ""),
    ("UC01", "Urgent Care Downtown", "Boston", ""),
    ("UC02", "Urgent Care Riverside", "Providence", ""),
)


def generate(patients: int, seed: int) -> Hospital:
    """A sound hospital of so many patients, about 2.4 visits each and 2.5 diagnoses a visit."""
    facilities = _facilities()
    people = make_patients(patients, np.random.default_rng([seed, 1]))
    visits = make_visits(people, list(facilities["fac_cd"]), np.random.default_rng([seed, 2]))
    return Hospital(
        facilities=facilities,
        patients=people,
        visits=visits,
        diagnoses=make_diagnoses(people, visits, np.random.default_rng([seed, 3])),
        allergies=make_allergies(people, np.random.default_rng([seed, 4])),
        earlier=Table("patients", "patient_id", {"patient_id": texts([])}),
    )


def _facilities() -> Table:
    codes, titles, cities, beds = zip(*_FACILITIES, strict=True)
    return Table(
        "legacy_facilities",
        "fac_cd",
        {
            "fac_cd": texts(codes),
            "fac_name": texts(titles),
            "city": texts(cities),
            "beds": texts(beds),
        },
    )
