"""Formats, centuries and time zones: what the specification leaves open is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from schemas.column_types import parse_type
from schemas.conversions import ConversionProblem, OnAmbiguous, Reading, convert
from tests.support.direct_calls.converted import STARTED_AT, converted

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("target", "reading", "told"),
    [
        ("date", Reading(("%d.%m.%y",)), "doesn't say the century"),
        ("date", Reading(("%d.%m.%Y", "%d.%m.%y")), "doesn't say the century"),
        ("date", Reading(("%d.%m.%Y",), pivot=1930), "'century' is for"),
        ("date", Reading(("%m.%Y",)), "lacks a day"),
        ("date", Reading(("%Y",)), "lacks a month"),
        ("date", Reading(("%H:%M",)), "lacks a year"),
        ("timestamp", Reading(("%H:%M",)), "lacks a year"),
        ("time", Reading(("%Y-%m-%d",)), "lacks an hour"),
        ("time", Reading(("%Y-%m-%d %H:%M",)), "more than a time"),
        ("time", Reading(("%H:%M%z",)), "more than a time"),
        ("timestamp", Reading(("%Y-%m-%d %H:%M%z",)), "has %z"),
        ("date", Reading(("%Y-%m-%d %H:%M%z",)), "has %z"),
        ("timestamptz", Reading(("%Y-%m-%d %H:%M",)), "needs a format with a zone"),
        ("timestamp", Reading(("%Y-%m-%d %H:%M",), zone=BERLIN), "'zone' decides nothing"),
        ("int4", Reading(("%Y",)), "for dates and times"),
    ],
)
def test_formats_that_leave_something_open_are_refused(
    target: str, reading: Reading, told: str
) -> None:
    with pytest.raises(ConversionProblem, match=told):
        convert("v", parse_type("text"), parse_type(target), reading)


@pytest.mark.parametrize(
    "format_",
    [
        "%Y-%m-%d %I:%M",
        "%H:%M %p",
        "%Y-%m-%d %M",
        "%H:%S",
        "%m/%d/%Y %y",
        "%b %m %Y",
        "%Y%f%m",
        "%H %I %p",
    ],
)
def test_formats_that_contradict_themselves_are_none(format_: str) -> None:
    with pytest.raises(ValueError, match="format"):
        Reading((format_,)).parse_formats()


def test_a_year_of_two_digits_lies_in_the_hundred_years_from_the_pivot_on() -> None:
    values = ["01.02.29", "01.02.30", "01.02.99", "29.02.00", "1.2.31"]
    found = converted(values, "text", "date", Reading(("%d.%m.%y",), pivot=1930))
    assert list(found.values()) == [
        "2029-02-01",
        "1930-02-01",
        "1999-02-01",
        "2000-02-29",
        "1931-02-01",
    ]
    other = converted(["29.02.00"], "text", "date", Reading(("%d.%m.%y",), pivot=1850))
    assert other == {"29.02.00": "-conversion"}  # 1900 had no such day, and 2000 isn't meant


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("30.11.26", "2026-11-30"),
        ("01.12.26", "-ambiguous"),
        ("02.12.26", "1926-12-02"),
        ("01.02.45", "1945-02-01"),
        ("29.02.00", "2000-02-29"),
        ("29.02.28", "1928-02-29"),
        ("29.02.01", "-conversion"),
    ],
)
def test_a_date_of_the_past_is_not_after_the_start(text: str, date: str) -> None:
    """In the evening of 30 November, the first of December has begun in some zones."""
    reading = Reading(("%d.%m.%y",), not_after=STARTED_AT)
    assert converted([text], "text", "date", reading)[text] == date


def test_a_zone_decides_whether_a_time_is_past() -> None:
    reading = Reading(("%d.%m.%y %H:%M",), not_after=STARTED_AT, zone=BERLIN)
    values = ["30.11.26 18:59", "30.11.26 19:01"]
    assert list(converted(values, "text", "timestamptz", reading).values()) == [
        "2026-11-30 17:59:00+00",
        "1926-11-30 18:01:00+00",
    ]
    zoned = Reading(("%d.%m.%y %H:%M%z",), not_after=STARTED_AT)
    values = ["30.11.26 18:00Z", "30.11.26 19:01+01:00"]
    assert list(converted(values, "text", "timestamptz", zoned).values()) == [
        "2026-11-30 18:00:00+00",
        "1926-11-30 18:01:00+00",
    ]


def test_an_offset_is_read_in_each_of_its_forms() -> None:
    reading = Reading(("%Y-%m-%d %H:%M:%S.%f%z",))
    for offset in ("Z", "z", "+00", "+0000", "+00:00"):
        value = f"2023-07-01 02:30:00.5000000{offset}"
        found = converted([value], "text", "timestamptz", reading)
        assert found == {value: "2023-07-01 02:30:00.5+00"}


def test_several_formats_with_different_results_are_ambiguous() -> None:
    reading = Reading(("%m/%d/%Y", "%d/%m/%Y"))
    assert converted(["03/03/2024", "03/04/2024"], "text", "date", reading) == {
        "03/03/2024": "2024-03-03",
        "03/04/2024": "-ambiguous",
    }


def test_a_local_time_that_the_clocks_skip_does_not_leave_another_format_alone() -> None:
    reading = Reading(("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"), zone=BERLIN)
    found = converted(["10/03/2024 02:30", "03/10/2024 02:30"], "text", "timestamptz", reading)
    assert set(found.values()) == {"-ambiguous"}


@pytest.mark.parametrize(
    "zone",
    [BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "UTC"],
)
def test_local_times_mean_what_the_zone_data_say(zone: str) -> None:
    """Every half hour near changes of clocks, held against Python's own zone data."""
    there = ZoneInfo(zone)
    local = [
        datetime.fromisoformat(day) + timedelta(minutes=10 + 30 * step)
        for day in (
            "2023-03-26",
            "2023-10-29",
            "2023-11-05",
            "2023-04-02",
            "2011-12-30",
            "2018-11-04",
        )
        for step in range(10)
    ]
    texts = [moment.isoformat(sep=" ") for moment in local]
    reading = Reading(zone=zone)
    strict = converted(texts, "text", "timestamptz", reading)
    earlier = converted(
        texts, "text", "timestamptz", replace(reading, on_ambiguous=OnAmbiguous.EARLIER)
    )
    later = converted(
        texts, "text", "timestamptz", replace(reading, on_ambiguous=OnAmbiguous.LATER)
    )
    for moment, text in zip(local, texts, strict=True):
        both = [moment.replace(tzinfo=there, fold=fold).astimezone(timezone.utc) for fold in (0, 1)]
        back = [one.astimezone(there).replace(tzinfo=None) == moment for one in both]
        written = [f"{one.replace(tzinfo=None).isoformat(sep=' ')}+00" for one in sorted(both)]
        assert [earlier[text], later[text]] == written, text
        if both[0] == both[1]:
            assert strict[text] == written[0]
        else:
            assert strict[text] == ("-ambiguous_time" if all(back) else "-no_such_time"), text


def test_moments_have_one_local_time() -> None:
    reading = Reading(zone=BERLIN)
    moments = ["2023-10-29 00:30:00+00", "2023-10-29 01:30:00+00"]
    found = converted(moments, "timestamptz", "timestamp", reading)
    assert set(found.values()) == {"2023-10-29 02:30:00"}
    days = converted(["2023-06-30 22:00:00+00", moments[0]], "timestamptz", "date", reading)
    assert list(days.values()) == ["2023-07-01", "-inexact"]


@pytest.mark.parametrize("pair", [("timestamp", "timestamptz"), ("timestamptz", "timestamp")])
def test_local_times_and_moments_need_a_zone(pair: tuple[str, str]) -> None:
    with pytest.raises(ConversionProblem) as refused:
        converted([], *pair)
    assert "zone: Europe/Berlin" in refused.value.remedy
