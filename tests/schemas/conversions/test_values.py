"""Values of text and numbers: what arrives is what was meant, and the rest is refused."""

from __future__ import annotations

import pytest

from schemas.column_types import parse_type
from schemas.conversions import ConversionProblem, Encoding, Reading, to_text
from tests.support.direct_calls.converted import converted
from transforms.sql.duckdb_engine import evaluate_scalar

VAGUE = (
    *("1 day 2", "1 day 2.5", "1 day2", "1 2", "5 1 day", "1-2 3", "1 day -2 ago", " -3 "),
    *("1.5 months", "1.5mon", "1.1 year", "0.5y", "@ 2.5 decades", "1.5 cent", "1.5 mil", "P1.5M"),
    *("P1.1Y", "P1Y1.5M", "01:02.5", "1 day 01:02.5", "-01:02.5"),
)
"""Intervals that can be read in two ways."""

EXACT = (
    *("1 day 2 hours", "1-2", "1-2 3 4:05:06", "2 01:02:03", "1 2:03", "01:02", "01:02:03.5"),
    *("1 mon", "1.0 months", "1.5 days", "1.5 weeks", "1.5 milliseconds", "1.5 min", "PT1.5M"),
    *("P1Y2M3DT4H5M6.5S", "P0001-02-03T04:05:06", "-1 mons +2 days -00:00:01.5", "1 day ago"),
)


@pytest.mark.parametrize(
    ("given", "target", "expected"),
    [
        ("numeric", "int4", {"5": "5", "5.00": "5", "5.7": "-inexact", "-5.7": "-inexact"}),
        ("numeric", "int4", {"2147483648": "-out_of_range", "NaN": "-out_of_range"}),
        ("float8", "int4", {"5.0": "5", "5.7": "-inexact"}),
        (
            "text",
            "int4",
            {"5": "5", "5.7": "-conversion", "0x10": "-conversion", "1_0": "-conversion"},
        ),
        (
            "text",
            "int4",
            {
                "\u00a05\ufeff": "5",
                "\u200b5\u3000": "5",
                "5\u00a05": "-conversion",
                "\u00a0": "-conversion",
            },
        ),
        ("text", "date", {"\u00a02020-01-02\u200b": "2020-01-02"}),
        ("text", "bool", {"\u00a0t": "true"}),
        ("text", "numeric", {"1e3": "1000", "1.5E-3": "0.0015", "-1e-1": "-0.1", "+.5e1": "5"}),
        (
            "text",
            "numeric",
            {"nan": "NaN", "+infinity": "Infinity", "1e999999999": "-out_of_range"},
        ),
        ("text", "numeric(5,2)", {"1e2": "100", "1e3": "-out_of_range", "1e-3": "-inexact"}),
        ("text", "date", {"0001-01-01": "0001-01-01", "0000-01-01": "-conversion"}),
        (
            "text",
            "date",
            {"2024-02-03 00:00:00.0000000": "2024-02-03", "2024-02-03 01:00": "-inexact"},
        ),
        ("text", "timestamp", {"0000-01-01 00:00:00": "-conversion"}),
        ("text", "timestamp", {"2024-02-03 01:02:03.0000000": "2024-02-03 01:02:03"}),
        ("text", "timestamp", {"2024-02-03 01:02:03.0000001": "-inexact"}),
        ("text", "timestamp(3)", {"2024-02-03 01:02:03.0040000": "2024-02-03 01:02:03.004"}),
        ("text", "timestamp(3)", {"2024-02-03 01:02:03.0004": "-inexact"}),
        ("text", "timestamptz", {"2024-02-03 01:02:03.0000000 +00:00": "2024-02-03 01:02:03+00"}),
        ("text", "timestamptz", {"2024-02-03 01:02:03": "-conversion"}),
        ("text", "timestamptz", {"2024-02-03 01:02:03+0260": "-conversion"}),
        ("text", "money", {"1,2,3": "-conversion", "1,234": "-ambiguous", "1,234.50": "1,234.50"}),
        ("text", "interval", {"90": "-ambiguous", "90 s": "90 s"}),
        ("text", "interval", dict.fromkeys(VAGUE, "-ambiguous")),
        ("text", "interval", {value: value for value in EXACT}),
        ("text", "interval[]", {'{"1 day 2"}': "-ambiguous", '{"1 day 2 s"}': '{"1 day 2 s"}'}),
        ("text", "timetz", {"12:00": "-conversion", "12:00+01": "12:00+01"}),
    ],
)
def test_text_and_numbers(given: str, target: str, expected: dict[str, str]) -> None:
    assert converted(expected, given, target) == expected


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("float8", "999999999999999.0", "999999999999999"),
        ("float8", "1e15", "1e+15"),
        ("float8", "-1e15", "-1e+15"),
        ("float8", "1234567890123456.0", "1.234567890123456e+15"),
        ("float4", "999999.0", "999999"),
        ("float4", "1e6", "1e+06"),
    ],
)
def test_an_exponent_begins_where_postgresql_begins_it(kind: str, value: str, text: str) -> None:
    type_ = parse_type(kind)
    assert evaluate_scalar(to_text(f"CAST('{value}' AS {type_.duckdb})", type_)) == text


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (
            None,
            {r"\x4D": r"\x4d", "0x4D": "-conversion", "4D": "-conversion", "TQ==": "-conversion"},
        ),
        (Encoding.HEX, {r"\x4D": r"\x4d", "0X4d": r"\x4d", "4D": r"\x4d", "4": "-conversion"}),
        (Encoding.BASE64, {"TQ==": r"\x4d", "TR==": "-conversion", "TQ": "-conversion"}),
        (Encoding.ESCAPE, {r"M\\\377": r"\x4d5cff", r"\x4D": "-conversion", "ü": "-conversion"}),
        (Encoding.UTF_8, {"Mü": r"\x4dc3bc", "4D": r"\x3444"}),
    ],
)
def test_text_becomes_bytes_only_in_an_encoding(
    encoding: Encoding | None, expected: dict[str, str]
) -> None:
    assert converted(expected, "text", "bytea", Reading(encoding=encoding)) == expected


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (Encoding.HEX, {r"\x4dff": "4dff"}),
        (Encoding.BASE64, {r"\x4dff": "Tf8="}),
        (Encoding.ESCAPE, {r"\x4dff5c00": r"M\377\\\000"}),
        (Encoding.UTF_8, {r"\x4dc3bc": "Mü", r"\x4dff": "-conversion"}),
    ],
)
def test_bytes_become_text_in_an_encoding(encoding: Encoding, expected: dict[str, str]) -> None:
    assert converted(expected, "bytea", "text", Reading(encoding=encoding)) == expected


@pytest.mark.parametrize("given", ["bytea", "bytea[]"])
@pytest.mark.parametrize("target", ["text", "varchar(9)", "citext"])
def test_bytes_do_not_become_text_by_themselves(given: str, target: str) -> None:
    with pytest.raises(ConversionProblem, match="in which encoding") as refused:
        converted([], given, target)
    assert "format: utf-8" in refused.value.remedy


@pytest.mark.parametrize(
    ("target", "exact", "refused"),
    [
        ("date[]", ["{2024-01-02,NULL}", '{"2024-01-02 00:00"}'], ['{"2024-01-02 12:00"}']),
        ("date[]", ["[2:2]={2024-01-02}"], ["{20240102}", "{Jan 2 2024}", "{2024-01-02+02}"]),
        ("daterange", ["[2024-01-02,)", "empty"], ["[2024-01-02 12:00,)", "[1/2/2024,)"]),
        ("tsrange", ["[2024-01-02,infinity)"], ["[2024-01-02 12:00+02,)", "[2024-01-02 24:00,)"]),
        ("tstzrange", ["[2024-01-02 12:00+02,)"], ["[2024-01-02 12:00,)", "[2024-01-02,)"]),
        ("tstzmultirange", ["{}"], ["{[2024-01-02 12:00,)}"]),
        ("timestamp[]", ['{"2024-01-02 12:00"}'], ['{"2024-01-02 12:00Z"}']),
        ("timestamptz[]", ['{"2024-01-02 12:00Z"}'], ['{"2024-01-02 12:00"}', "{2024-01-02}"]),
        ("time[]", ["{12:00}"], ["{12:00+01}", "{12:00 PM}"]),
        ("timetz[]", ["{12:00+01}"], ["{12:00}"]),
        ("tsrange[]", ['{"[2024-01-02,)"}'], ['{"[\\"2024-01-02 12:00+02\\",)"}']),
        ("int[]", ["{1,NULL}"], ["{0x10}", "{1_0}", "{0b1}"]),
        ("int8range", ["[1,5)"], ["[0x1,)"]),
        ("numeric[]", ["{1.5}"], ["{1_0.5}"]),
        ("bool[]", ["{t,no,NULL}"], ["{tr}", "{2}"]),
        ("bytea[]", ['{"\\\\x4d"}'], ["{M}", "{4d}", '{"\\\\x4"}']),
        ("money[]", ['{"1,234.50",2}'], ['{"1,2"}', '{"1,234"}']),
    ],
)
def test_elements_and_bounds_are_as_strict_as_scalars(
    target: str, exact: list[str], refused: list[str]
) -> None:
    found = converted([*exact, *refused], "text", target)
    assert [value for value in exact if found[value] != value] == []
    assert [value for value in refused if found[value][0] != "-"] == []
