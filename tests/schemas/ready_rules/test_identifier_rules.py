"""Ready rules for numbers of people, providers and records: known numbers, and the oracle's."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.direct_calls.one_rule import broken, failing

RIGHT_NPIS = ["1234567893", "1245319599", "1679576722", "1003000126"]
WRONG_NPIS = [
    "1234567890",
    "1245319598",
    "123456789",
    "12345678931",
    "",
    "123456789X",
    "١٢٣٤٥٦٧٨٩٣",
]


@pytest.mark.parametrize("kind", ["text", "varchar(20)"])
def test_an_npi_has_ten_digits_and_its_check_digit(kind: str) -> None:
    rows = [*RIGHT_NPIS, *WRONG_NPIS, None, " 1234567893", "1234567893 "]
    assert failing("npi", {"npi": kind}, rows) == [*WRONG_NPIS, " 1234567893", "1234567893 "]


@pytest.mark.parametrize("kind", ["int8", "numeric(10,0)", "numeric"])
def test_an_npi_may_be_stored_as_a_number(kind: str) -> None:
    number = int if kind == "int8" else Decimal
    right = [number(npi) for npi in RIGHT_NPIS]
    wrong = [number(npi) for npi in (1234567890, 123456789, -1234567893, 0)]
    assert failing("npi", {"npi": kind}, [*right, *wrong, None]) == wrong


@pytest.mark.parametrize(
    ("ssn", "can_be"),
    [
        ("123-45-6789", True),
        ("123456789", True),
        ("899-99-9999", True),
        ("772-01-0001", True),
        ("001-01-0001", True),
        ("000-45-6789", False),
        ("666-45-6789", False),
        ("900-45-6789", False),
        ("999-45-6789", False),
        ("123-00-6789", False),
        ("123-45-0000", False),
        ("12345678", False),
        ("1234567890", False),
        ("123-456789", False),
        ("123 45 6789", False),
        ("12-345-6789", False),
        ("123-45-678X", False),
        ("", False),
        (None, True),
    ],
)
def test_an_ssn_is_one_that_can_have_been_assigned(ssn: str | None, can_be: bool) -> None:
    assert failing("ssn", {"ssn": "text"}, [ssn]) == ([] if can_be else [ssn])


def test_an_ssn_that_is_stored_as_a_number_has_its_leading_zeros() -> None:
    rows = [10010001, 123456789, 456789, 666456789, 1, 1234567890, -10010001, None]
    wrong = [456789, 666456789, 1, 1234567890, -10010001]
    assert failing("ssn", {"ssn": "int8"}, rows) == wrong
    assert failing("ssn", {"ssn": "int4"}, [10010001, 456789]) == [456789]


def test_an_mrn_has_the_form_that_the_hospital_gives_it() -> None:
    rule = {"use": "mrn_format", "pattern": "[A-Z]{2}[0-9]{6}"}
    rows = ["AB123456", "AB12345", "ab123456", "xAB123456", "AB123456\n", None]
    assert failing(rule, {"mrn": "text"}, rows) == rows[1:5]
    numbers = {"use": "mrn_format", "pattern": "[0-9]{6}", "field": "no"}
    assert failing(numbers, {"no": "int4"}, [123456, 12345, None]) == [12345]


# The examples of HL7 v2.3.1, 2.8.5.3.
@pytest.mark.parametrize(
    ("method", "right"),
    [
        ("mod10", ["123455", "4010", "99994", "999999998", "18", "00", "0000"]),
        ("mod11", ["12345674", "1289527", "00", "60"]),
    ],
)
def test_a_check_digit_is_right(method: str, right: list[str]) -> None:
    rule = {"use": "check_digit", "method": method}
    wrong = [number[:-1] + str((int(number[-1]) + 1) % 10) for number in right]
    odd = ["", "5", "12345A", "1" * 19]
    assert failing(rule, {"mrn": "text"}, [*right, *wrong, *odd, None]) == [*wrong, *odd]


NUMERALS = st.one_of(
    st.text("0123456789", max_size=22),
    st.text("0123456789-", min_size=9, max_size=11),
    st.integers(0, 10**10).map(str),
    st.text(max_size=12),
    st.none(),
)


NUMBERS = {
    "NPI": {"use": "npi", "field": "n"},
    "SSN": {"use": "ssn", "field": "n"},
    "MOD10": {"use": "check_digit", "field": "n"},
    "MOD11": {"use": "check_digit", "field": "n", "method": "mod11"},
}


@settings(max_examples=10, deadline=None)
@given(st.lists(NUMERALS.filter(lambda t: "\0" not in (t or "")), min_size=30, max_size=60))
def test_texts_are_judged_as_the_oracle_judges_them(texts: list[str | None]) -> None:
    # Of random numbers one in ten is right; with each possible last digit one is for sure.
    texts += [text[:-1] + digit for text in texts[:3] if text for digit in "0123456789"]
    broken(NUMBERS, {"n": "text"}, [(text,) for text in texts])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.one_of(st.integers(-5, 10**11), st.none()), min_size=30, max_size=60))
def test_numbers_are_judged_as_the_oracle_judges_them(numbers: list[int | None]) -> None:
    broken(NUMBERS, {"n": "int8"}, [(number,) for number in numbers])
