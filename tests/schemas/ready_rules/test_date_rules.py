"""Ready rules for dates: dates beside timestamps, zones, infinity, ages and dummy dates."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.calendar import DATE_INFINITY, DAY, TIMESTAMP_INFINITY, days_of
from tests.support.direct_calls.one_rule import STARTED_AT, broken, failing

MOMENTS = ("date", "timestamp", "timestamptz")
HOUR = DAY // 24


def day(year: int, month: int, number: int) -> int:
    found = days_of(year, month, number)
    assert found is not None
    return found


def at(year: int, month: int, number: int, hour: float = 0) -> int:
    return day(year, month, number) * DAY + int(hour * HOUR)


def test_nobody_dies_before_being_born() -> None:
    columns = {"birth_date": "date", "death_date": "date"}
    born = day(1950, 5, 5)
    rows = [
        (born, born),
        (born, born + 1),
        (born, born - 1),
        (born, None),
        (None, born),
        (born, DATE_INFINITY),
        (DATE_INFINITY, born),
        (-DATE_INFINITY, born),
    ]
    assert failing("birth_before_death", columns, rows) == [rows[2], rows[6]]


def test_of_a_date_and_a_timestamp_days_are_compared() -> None:
    columns = {"birth_date": "timestamp", "death_date": "date"}
    rows = [(at(2000, 1, 1, 14), day(2000, 1, 1)), (at(2000, 1, 2, 1), day(2000, 1, 1))]
    assert failing("birth_before_death", columns, rows) == [rows[1]]


def test_a_zone_that_is_not_known_rejects_nothing() -> None:
    # Five in the morning of 1 January in Sydney is 31 December in UTC.
    rule = {"use": "not_before_birth", "date": "seen"}
    columns = {"birth_date": "date", "seen": "timestamptz"}
    rows = [
        (day(2000, 1, 1), at(1999, 12, 31, 18)),
        (day(2000, 1, 1), at(1999, 12, 31, 10)),
        (day(2000, 1, 1), at(1999, 12, 31, 9)),
    ]
    assert failing(rule, columns, rows) == [rows[2]]


def test_the_future_begins_when_the_job_does() -> None:
    rule = {"use": "not_in_future", "date": "seen"}
    moments = [STARTED_AT, STARTED_AT + 1, TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY, None]
    assert failing(rule, {"seen": "timestamptz"}, moments) == moments[1:3]
    # It is 1 January 2026 in all of the world, and 14 hours later on a wall in Kiribati.
    days = [day(2026, 1, 1), day(2026, 1, 2), day(2027, 1, 1)]
    assert failing(rule, {"seen": "date"}, days) == days[1:]
    walls = [STARTED_AT + 14 * HOUR, STARTED_AT + 14 * HOUR + 1]
    assert failing(rule, {"seen": "timestamp"}, walls) == walls[1:]


def test_some_days_after_the_death_may_be_let_pass() -> None:
    columns = {"death_date": "date", "seen": "date"}
    rule = {"use": "not_after_death", "date": "seen"}
    died = day(2020, 2, 28)
    rows = [(died, died), (died, died + 1), (died, died + 60), (died, died + 61)]
    assert failing(rule, columns, rows) == rows[1:]
    assert failing({**rule, "days": "60"}, columns, rows) == rows[3:]
    endless = [(DATE_INFINITY, died), (died, DATE_INFINITY)]
    assert failing({**rule, "days": "60"}, columns, endless) == endless[1:]


def test_nobody_is_older_than_124_years() -> None:
    rows = [day(1901, 1, 1), day(1900, 12, 31), day(2030, 1, 1), -DATE_INFINITY, None]
    assert failing({"use": "age_at_most"}, {"birth_date": "date"}, [day(1902, 1, 1)]) == []
    # On 1 January 2026 who was born on that day of 1901 is 125.
    assert failing("age_at_most", {"birth_date": "date"}, rows) == rows[:2]
    assert failing("age_at_most", {"birth_date": "date"}, [day(1901, 1, 2)]) == []
    leap = {"use": "age_at_most", "years": "121"}
    assert failing(leap, {"birth_date": "date"}, [day(1904, 2, 29)]) == []


def test_the_age_of_who_has_died_ends_with_the_death() -> None:
    columns = {"birth_date": "date", "death_date": "date"}
    rows = [
        (day(1850, 1, 1), day(1930, 1, 1)),
        (day(1850, 1, 1), day(1975, 1, 1)),
        (day(1850, 1, 1), None),
    ]
    assert failing("age_at_most", columns, rows) == rows[1:]
    told = {"use": "age_at_most", "death": "gone"}
    assert failing(told, {"birth_date": "date", "gone": "date"}, rows) == rows[1:]
    assert failing({"use": "age_at_most", "death": None}, columns, rows) == rows


def test_dates_that_stand_for_none_are_warned_of() -> None:
    rule = {"use": "no_sentinel_date", "date": "seen"}
    rows = [day(1900, 1, 1), day(9999, 12, 31), day(1900, 1, 2), DATE_INFINITY, None]
    assert failing(rule, {"seen": "date"}, rows) == rows[:2]
    endless = {**rule, "values": ["infinity"]}
    assert failing(endless, {"seen": "date"}, rows) == rows[3:4]
    moments = [at(1900, 1, 1, 13), at(1900, 1, 2)]
    assert failing(rule, {"seen": "timestamp"}, moments) == moments[:1]
    others = {**rule, "values": ["1753-01-01"]}
    assert failing(others, {"seen": "date"}, [day(1753, 1, 1), *rows]) == [day(1753, 1, 1)]


def test_a_diagnosis_lies_within_its_visit() -> None:
    columns = {"diagnosed_at": "date", "admitted_at": "timestamp", "discharged_at": "timestamp"}
    admitted, discharged = at(2014, 3, 1, 22), at(2014, 3, 5, 9)
    rows = [
        (day(2014, 3, 1), admitted, discharged),
        (day(2014, 3, 5), admitted, discharged),
        (day(2014, 2, 28), admitted, discharged),
        (day(2014, 3, 6), admitted, discharged),
        (day(2014, 2, 28), admitted, None),
        (day(2014, 3, 6), admitted, None),
        (day(2014, 3, 6), None, discharged),
        (None, admitted, discharged),
    ]
    assert failing("within_visit", columns, rows) == [rows[2], rows[3], rows[4], rows[6]]


def test_nobody_is_discharged_before_being_admitted() -> None:
    columns = {"admitted_at": "timestamp", "discharged_at": "timestamp"}
    rows = [(10, 10), (10, 11), (11, 10), (11, None)]
    assert failing("admission_before_discharge", columns, rows) == [rows[2]]


def test_a_row_is_of_the_patient_of_its_visit() -> None:
    columns = {"patient_id": "int8", "visit_patient_id": "text"}
    rows = [(1, "1"), (1, "2"), (1, "01"), (None, "1"), (1, None)]
    assert failing("same_patient", columns, rows) == rows[1:3]


def moments(kind: str) -> st.SearchStrategy[int | None]:
    """Some that lie close together, some far away, infinities, and none."""
    near = st.integers(-3, 3)
    if kind == "date":
        some = st.one_of(
            near.map(lambda n: day(2024, 2, 29) + n),
            st.integers(day(1850, 1, 1), day(2060, 1, 1)),
            st.integers(-700_000, 2_000_000),
            st.sampled_from([DATE_INFINITY, -DATE_INFINITY]),
        )
    else:
        some = st.one_of(
            st.integers(-60, 60).map(lambda n: at(2024, 2, 29) + n * HOUR // 2),
            st.integers(at(1850, 1, 1), at(2060, 1, 1)),
            st.integers(-700_000 * DAY, 2_000_000 * DAY),
            st.sampled_from([TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY]),
        )
    return st.one_of(some, some, some, st.none())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(first, second, marks=[pytest.mark.slow] if place % 4 else [])
        for place, (first, second) in enumerate(product(MOMENTS, MOMENTS))
    ],
)
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_moments_are_judged_as_the_oracle_judges_them(first: str, second: str, data: Any) -> None:
    columns = {"birth_date": first, "seen": second}
    pairs = st.tuples(moments(first), moments(second))
    rows = data.draw(st.lists(pairs, min_size=20, max_size=40))
    broken(
        {
            "BORN": {"use": "birth_before_death", "death": "seen"},
            "NOT_YET": {"use": "not_before_birth", "date": "seen"},
            "GONE": {
                "use": "not_after_death",
                "date": "birth_date",
                "death": "seen",
                "days": "2",
            },
            "FUTURE": {"use": "not_in_future", "date": "seen"},
            "OLD": {"use": "age_at_most", "death": "seen", "years": "80"},
            "STILL_OLD": "age_at_most",
            "DUMMY": {"use": "no_sentinel_date", "date": "seen", "values": ["2024-02-29"]},
            "ICD_9": {
                "use": "icd_version_for_date",
                "discharged": "seen",
                "system": "9",
                "since": "2024-02-29",
            },
            "ICD_10": {"use": "icd_version_for_date", "discharged": "seen", "system": "10"},
        },
        columns,
        rows,
    )
