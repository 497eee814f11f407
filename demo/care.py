"""What happened to the patients of the demo hospital: visits, diagnoses, allergies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from demo.diagnosis_codes import COMMON, EXTERNAL_CAUSES, OLDEST, single_target_codes
from demo.drawing import (
    Mask,
    as_moments,
    as_text,
    as_typed,
    chance,
    either,
    one_of,
    texts,
    years_between,
)
from demo.tables import Column, Table

FIRST_ADMISSION = np.datetime64("2008-01-01")
LAST_ADMISSION = np.datetime64("2014-12-31")

VISITS_PER_PATIENT = 2.4
FURTHER_DIAGNOSES_PER_VISIT = 1.5
TAIL_SHARE = 0.12
"""The share of diagnoses that is drawn from all codes and not from the common ones."""

_AGE_BANDS = (0, 1, 6, 18, 30, 45, 65, OLDEST + 1)

_VISIT_TYPES = {"I": ("I", "i", "1"), "O": ("O", "O ", "2"), "E": ("E", "e", "3")}
_DISPOSITIONS = ("01", "01", "01", "01", "01", "03", "06", "06", "02", "07", "20", "XX")
_ALLERGENS = (
    "Penicillin",
    "Sulfa drugs",
    "Aspirin",
    "Codeine",
    "Latex",
    "Iodinated contrast",
    "Peanuts",
    "Shellfish",
    "Eggs",
    "Bee venom",
    "Morphine",
    "Erythromycin",
)
_SEVERITIES = ("MILD", "mild", "MOD", "moderate", "S", "Severe", "?", None)
_REACTIONS = ("rash", "hives", "nausea", "anaphylaxis", "swelling of the lips", "wheezing", "")


def make_visits(people: Table, facilities: Sequence[str], rng: np.random.Generator) -> Table:
    """About 2.4 visits a patient; their facts are patient (row), age (years) and skipped."""
    often = rng.negative_binomial(1.2, 1.2 / (1.2 + VISITS_PER_PATIENT), len(people))
    patient = np.repeat(np.arange(len(people)), often)
    opens = np.maximum(people.facts["born"], FIRST_ADMISSION)
    days = (LAST_ADMISSION - opens).astype(np.int64)[patient]
    minutes = (rng.random(len(patient)) * days * 1440).astype(np.int64)
    admitted = opens[patient].astype("datetime64[m]") + minutes.astype("timedelta64[m]")
    order = np.argsort(admitted, kind="stable")
    patient, admitted = patient[order], admitted[order]
    count = len(patient)
    ages = years_between(people.facts["born"][patient], admitted.astype("datetime64[D]"))
    kind = np.where(
        rng.random(count) < np.where(ages >= 65, 0.28, 0.14),
        "I",
        np.where(rng.random(count) < 0.35, "E", "O"),
    )
    stay = np.select(
        [kind == "I", kind == "E"],
        [np.clip(rng.exponential(4.2, count), 0.7, 60) * 1440, rng.uniform(100, 800, count)],
        rng.uniform(25, 240, count),
    ).astype(np.int64)
    discharged = admitted + stay.astype("timedelta64[m]")
    typed = {letter: one_of(codes, count, rng) for letter, codes in _VISIT_TYPES.items()}
    pat_ids = people["pat_id"][patient]
    columns = {
        "visit_id": 100_000 + np.cumsum(rng.integers(1, 4, count)),
        "pat_id": either(chance(0.3, count, rng), texts([p.ljust(14) for p in pat_ids]), pat_ids),
        "fac_cd": one_of(facilities, count, rng),
        "visit_type": either(kind == "I", typed["I"], either(kind == "E", typed["E"], typed["O"])),
        "admit_dt": as_moments(admitted, rng),
        "disch_dt": either(
            (kind != "I") & chance(0.02, count, rng), None, as_moments(discharged, rng)
        ),
        "disp_cd": one_of(_DISPOSITIONS, count, rng),
        "charges": _charges(kind, rng),
        "status": either(chance(0.015, count, rng), "X", "C"),
    }
    facts = {"patient": patient, "age": ages, "skipped": columns["status"] == "X"}
    return Table("legacy_visits", "visit_id", columns, facts)


def _charges(kind: npt.NDArray[np.str_], rng: np.random.Generator) -> Column:
    count = len(kind)
    usual = np.select([kind == "I", kind == "E"], [9.6, 7.2], 5.6)
    amounts = np.clip(rng.lognormal(usual, 0.7), 20, 900_000)
    style = rng.random(count)
    return texts(
        [
            None if s < 0.03 else f"${a:,.2f}" if s < 0.3 else f"{a:.2f}"
            for a, s in zip(amounts, style, strict=True)
        ]
    )


def make_diagnoses(people: Table, visits: Table, rng: np.random.Generator) -> Table:
    """About 2.5 diagnoses a visit; their facts are visit (row), rank and skipped."""
    many = 1 + np.minimum(rng.poisson(FURTHER_DIAGNOSES_PER_VISIT, len(visits)), 11)
    visit = np.repeat(np.arange(len(visits)), many)
    first = np.cumsum(many) - many
    rank = np.arange(len(visit)) - np.repeat(first, many) + 1
    count = len(visit)
    codes = _codes(
        visits.facts["age"][visit],
        people.facts["female"][visits.facts["patient"][visit]],
        rng,
    )
    external = (rank > 1) & chance(0.02, count, rng)
    columns = {
        "diag_id": np.arange(1, count + 1),
        "visit_id": visits["visit_id"][visit],
        "pat_id": people["pat_id"][visits.facts["patient"][visit]],
        "diagnosis_code": either(external, one_of(EXTERNAL_CAUSES, count, rng), codes),
        "seq_no": texts(rank.astype(str).tolist()),
        "poa": one_of(("Y", "Y", "Y", "N", "U", "", None), count, rng),
        "del_flag": either(chance(0.003, count, rng), "Y", None),
    }
    facts = {"visit": visit, "rank": rank, "skipped": columns["del_flag"] == "Y"}
    return Table("legacy_diagnoses", "diag_id", columns, facts)


def _codes(ages: npt.NDArray[np.int64], female: Mask, rng: np.random.Generator) -> Column:
    """A code for each diagnosis, by the age and sex of its patient."""
    count = len(ages)
    codes = np.empty(count, dtype=object)
    tail = texts(_unremarkable(single_target_codes()))
    common = texts([c.code for c in COMMON])
    band = np.digitize(ages, _AGE_BANDS)
    for sex, is_sex in (("F", female), ("M", ~female)):
        for number, (low, high) in enumerate(itertools.pairwise(_AGE_BANDS), 1):
            rows = np.flatnonzero(is_sex & (band == number))
            weights = np.array(
                [
                    c.weight
                    if c.sex in ("", sex) and c.youngest < high and c.oldest >= low
                    else 0.0
                    for c in COMMON
                ]
            )
            codes[rows] = rng.choice(common, len(rows), p=weights / weights.sum())
    rare = np.flatnonzero(chance(TAIL_SHARE, count, rng))
    codes[rare] = rng.choice(tail, len(rare))
    return codes


def _unremarkable(codes: Sequence[str]) -> list[str]:
    """Without the chapters that befit one sex or the newborn only."""
    return [c for c in codes if not ("600" <= c < "680" or "760" <= c < "780" or c.startswith("V"))]


def make_allergies(people: Table, rng: np.random.Generator) -> Table:
    """Some allergies of three patients in ten; their facts are patient (row) and skipped."""
    often = np.where(chance(0.3, len(people), rng), rng.integers(1, 4, len(people)), 0)
    patient = np.repeat(np.arange(len(people)), often)
    count = len(patient)
    born = people.facts["born"][patient]
    onset = born + (rng.random(count) * (LAST_ADMISSION - born).astype(np.int64)).astype(
        "timedelta64[D]"
    )
    columns = {
        "allergy_no": np.arange(1, count + 1),
        "pat_id": people["pat_id"][patient],
        "allergen": as_typed(one_of(_ALLERGENS, count, rng), rng),
        "severity": one_of(_SEVERITIES, count, rng),
        "reaction": one_of(_REACTIONS, count, rng),
        "onset": either(chance(0.5, count, rng), None, as_text(onset, "%m/%d/%Y")),
    }
    facts = {"patient": patient, "skipped": np.zeros(count, dtype=bool)}
    return Table("legacy_allergies", "allergy_no", columns, facts)
