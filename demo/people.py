"""The patients of the demo hospital."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from demo import names
from demo.drawing import (
    Days,
    Mask,
    as_text,
    as_typed,
    chance,
    days_of,
    either,
    frequent,
    one_of,
    partly_lower,
    texts,
    years_between,
)
from demo.tables import Column, Table

NEWEST_BIRTH = np.datetime64("2014-07-01")

_AGES = (
    (0, 1, 0.05),
    (1, 18, 0.15),
    (18, 45, 0.28),
    (45, 65, 0.27),
    (65, 90, 0.23),
    (90, 99, 0.02),
)
"""From, to, share: a hospital's patients are older than a town's people."""


def make_patients(count: int, rng: np.random.Generator) -> Table:
    """So many patients; their facts are born (date), female and skipped (bool)."""
    born = _births(count, rng)
    female = chance(0.53, count, rng)
    ids = np.arange(1, count + 1)
    pat_ids = texts([f"PAT_{i:08d}" for i in ids])
    place = rng.integers(0, len(names.CITIES), count)
    deleted = chance(0.01, count, rng)
    is_test = np.zeros(count, dtype=bool)
    is_test[rng.choice(count, max(1, count // 2000), replace=False)] = True
    modern = chance(0.25, count, rng)
    columns = {
        "id": ids,
        "pat_id": pat_ids,
        "mrn": texts([f"GH{n:08d}" for n in np.cumsum(rng.integers(1, 5, count)) + 400_000]),
        "pat_fname": as_typed(
            either(female, frequent(names.FEMALE, count, rng), frequent(names.MALE, count, rng)),
            rng,
        ),
        "pat_lname": either(is_test, "ZZTEST", as_typed(frequent(names.LAST, count, rng), rng)),
        "dob": either(modern, as_text(born, "%Y%m%d"), as_text(born, "%m/%d/%Y")),
        "sex": either(
            female,
            one_of(("F", "F", "F", "2", "f", " F"), count, rng),
            one_of(("M", "M", "M", "1", "m", "M "), count, rng),
        ),
        "weight_lb": _weights(born, rng),
        "address": texts(
            [
                f"{number} {names.STREETS[street]}"
                for number, street in zip(
                    rng.integers(1, 2000, count),
                    rng.integers(0, len(names.STREETS), count),
                    strict=True,
                )
            ]
        ),
        "city": texts([names.CITIES[p][0] for p in place]),
        "state": partly_lower(texts([names.CITIES[p][1] for p in place]), 0.1, rng),
        "zip": _zips(place, rng),
        "phone": _phones(count, rng),
        "mother_pat_id": _mothers(born, female & ~deleted & ~is_test, pat_ids, rng),
        "del_flag": either(deleted, "Y", one_of(("N", "N", "N", "", None), count, rng)),
        "updated_at": np.datetime64("2010-01-01T00:00:00")
        + rng.integers(0, 5 * 365 * 86_400, count).astype("timedelta64[s]"),
    }
    facts = {"born": born, "female": female, "skipped": deleted | is_test}
    return Table("legacy_patients", "id", columns, facts)


def _births(count: int, rng: np.random.Generator) -> Days:
    bounds = np.array([(low, high) for low, high, _ in _AGES])
    band = rng.choice(len(_AGES), count, p=[share for _, _, share in _AGES])
    ages = rng.uniform(bounds[band, 0], bounds[band, 1])
    born: Days = NEWEST_BIRTH - days_of(ages)
    return born


def _weights(born: Days, rng: np.random.Generator) -> Column:
    ages = years_between(born, NEWEST_BIRTH)
    grown = np.clip(rng.normal(172, 38, len(born)), 90, 480)
    pounds = np.where(ages < 18, 8 + (grown - 8) * (ages / 18), grown)
    known = chance(0.75, len(born), rng)
    exact = chance(0.3, len(born), rng)
    return texts(
        [
            (f"{p:.1f}" if e else f"{p:.0f}") if k else None
            for p, e, k in zip(pounds, exact, known, strict=True)
        ]
    )


def _mothers(
    born: Days,
    may_be_mother: Mask,
    pat_ids: Column,
    rng: np.random.Generator,
) -> Column:
    """For three in five of the children a patient who was 18 to 42 when they were born."""
    women = np.flatnonzero(may_be_mother)
    women = women[np.argsort(born[women], kind="stable")]
    years = rng.uniform(18, 42, len(born))
    wanted = born - days_of(years)
    nearest = np.searchsorted(born[women], wanted)
    known = (
        (born > NEWEST_BIRTH - np.timedelta64(18 * 365, "D"))
        & chance(0.6, len(born), rng)
        & (nearest < len(women))
    )
    mothers = np.full(len(born), None, dtype=object)
    for child in np.flatnonzero(known):
        woman = women[nearest[child]]
        if years_between(born[woman : woman + 1], born[child])[0] >= 14:
            mothers[child] = pat_ids[woman]
    return mothers


def _zips(place: npt.NDArray[np.int64], rng: np.random.Generator) -> Column:
    count = len(place)
    ends, plus_four = rng.integers(1, 99, count), rng.integers(1, 9999, count)
    return texts(
        [
            f"{names.CITIES[p][2]}{end:02d}" + (f"-{four:04d}" if four % 7 == 0 else "")
            for p, end, four in zip(place, ends, plus_four, strict=True)
        ]
    )


def _phones(count: int, rng: np.random.Generator) -> Column:
    shapes = ("({}) 555-{}", "{}-555-{}", "{}.555.{}", "{}555{}", "{} 555 {}")
    areas = rng.integers(0, len(names.AREA_CODES), count)
    lines, shape = rng.integers(100, 200, count), rng.integers(0, len(shapes) + 2, count)
    return texts(
        [
            shapes[s].format(names.AREA_CODES[a], f"0{line}")
            if s < len(shapes)
            else ("", None)[s - len(shapes)]
            for a, line, s in zip(areas, lines, shape, strict=True)
        ]
    )
