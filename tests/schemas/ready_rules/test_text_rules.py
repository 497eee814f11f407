"""Ready rules for text and domains, and what holds of every ready rule."""

from __future__ import annotations

from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ready_rules import READY_RULES
from schemas.ready_rules.rule import GroupRule
from tests.oracle import rule_meanings as oracle
from tests.support.direct_calls.one_rule import RuleOrName, broken, failing


def test_text_has_no_control_characters() -> None:
    rule = {"use": "no_control_characters", "field": "note"}
    wrong = ["a\x01", "\x1f", "a\x7fb", "\x85", "\x9f", "a\tb", "a\r\nb"]
    right = ["", "a b", "é", "\xa0", "\u200b", "漢字", None]
    assert failing(rule, {"note": "text"}, [*wrong, *right]) == wrong
    broken_lines = {**rule, "line_breaks": "true"}
    assert failing(broken_lines, {"note": "text"}, [*wrong, *right]) == wrong[:5]


def test_text_is_neither_too_short_nor_too_long() -> None:
    rule = {"use": "text_length", "field": "zip", "least": "5", "most": "6"}
    rows = ["1234", "12345", "123456", "1234567", "", "éééééé", None]
    assert failing(rule, {"zip": "text"}, rows) == ["1234", "1234567", ""]


@pytest.mark.parametrize("kind", ["int2", "int8", "numeric", "numeric(5,0)", "text"])
def test_a_domain_holds_whatever_the_type(kind: str) -> None:
    make = {"text": str, "int2": int, "int8": int}.get(kind, Decimal)
    rows = [*map(make, (1, 2, 30)), None]
    rule = {"use": "one_of", "field": "x", "values": ["1", "30"]}
    assert failing(rule, {"x": kind}, rows) == [make(2)]


def test_a_number_with_decimals_is_not_cut() -> None:
    rule = {"use": "one_of", "field": "x", "values": ["1", "2.5"]}
    rows = [Decimal("1.00"), Decimal("2.50"), Decimal("1.50"), Decimal("10.00"), Decimal("100")]
    assert failing(rule, {"x": "numeric(6,2)"}, rows) == rows[2:]
    assert failing(rule, {"x": "numeric"}, rows) == rows[2:]
    assert failing(rule, {"x": "numeric(6,0)"}, [Decimal(1), Decimal(10)]) == [Decimal(10)]


def test_a_sex_is_one_of_those_of_hl7() -> None:
    rows = ["F", "M", "O", "U", "A", "N", "f", "X", "", None]
    assert failing("sex", {"sex": "text"}, rows) == ["f", "X", ""]
    numbers = {"use": "sex", "field": "gender", "values": ["1", "2"]}
    assert failing(numbers, {"gender": "int4"}, [1, 2, 9, None]) == [9]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=8), st.none()), min_size=30, max_size=60))
def test_texts_are_judged_as_the_oracle_judges_them(texts: list[str | None]) -> None:
    rules: dict[str, RuleOrName] = {
        "CLEAN": {"use": "no_control_characters", "field": "x"},
        "CLEAN_LINES": {"use": "no_control_characters", "field": "x", "line_breaks": "true"},
        "SHORT": {"use": "text_length", "field": "x", "least": "2", "most": "4"},
        "KNOWN": {"use": "one_of", "field": "x", "values": ["", "0", "a'b"]},
    }
    rows = [(None if text is None else text.replace("\0", "\x01"),) for text in texts]
    broken(rules, {"x": "text"}, rows)


@pytest.mark.parametrize("name", READY_RULES)
def test_each_rule_says_what_it_checks_and_where_that_comes_from(name: str) -> None:
    rule = READY_RULES[name]
    assert rule.checks.endswith(".")
    assert len(rule.source) > 10
    if isinstance(rule, GroupRule):
        assert rule.warns
        return
    known = oracle.READY_RULES[name]
    assert (rule.error.value, rule.warns) == (known.code, known.warns)


@pytest.mark.parametrize("name", READY_RULES)
def test_each_example_is_one(name: str) -> None:
    rule = READY_RULES[name]
    ((label, given),) = yaml.load(rule.example, yaml.BaseLoader).items()
    assert label == name.upper()
    assert given.pop("use") == name
    # The loader takes '~' for text; the specification's reader for nothing.
    faults = rule.read({key: None if text == "~" else text for key, text in given.items()})[1]
    assert not faults
