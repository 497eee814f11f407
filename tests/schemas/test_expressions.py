"""Expressions: which are taken, what they read, and why others are refused."""

from __future__ import annotations

import pytest

from schemas.expressions import (
    ExpressionError,
    describe_expressions,
    new_connection,
    parse_expression,
)


def bound(text: str) -> str:
    return parse_expression(text).bound(lambda name: "src." + name[-1])


def test_names_are_found_and_bound() -> None:
    expression = parse_expression("trim(first) || ' ' || src.last || \"Odd Name\" || first")
    assert expression.names == (("first",), ("src", "last"), ("Odd Name",))
    sql = bound("a + src.b")
    row = new_connection().execute(f'SELECT {sql} FROM (SELECT 2 AS "src.a", 3 AS "src.b")')
    assert row.fetchall() == [(5,)]


def test_the_parameter_of_a_lambda_is_no_column() -> None:
    assert parse_expression("list_sum(list_transform([a], x -> x + b))").names == (("a",), ("b",))


def test_a_comment_does_not_swallow_what_follows() -> None:
    assert parse_expression("a -- the first").names == (("a",),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a +", "error"),
        ("", "error"),
        ("1) FROM x (", "error|statement"),
        ("a; DROP TABLE x", "error"),
        ("now()", "clock"),
        ("current_date", "clock"),
        ("age(born)", "clock"),
        ("random() < 0.5", "chance"),
        ("gen_random_uuid()", "chance"),
        ("sum(a)", "aggregate"),
        ("(SELECT 1)", "subquery"),
        ("row_number() OVER ()", "window"),
        ("a = ?", r"\?"),
        ("*", r"\*"),
    ],
)
def test_what_is_no_expression_on_one_row_is_refused(text: str, told: str) -> None:
    with pytest.raises(ExpressionError, match=told):
        parse_expression(text)


def test_types_and_binding_errors_are_described_without_evaluating() -> None:
    described = describe_expressions(
        {"n": '"src.a" + 1', "b": '"src.a" > 3', "no": 'nothing_of_that_name("src.a")'},
        {"src.a": "INTEGER"},
    )
    assert (described["n"], described["b"]) == ("INTEGER", "BOOLEAN")
    assert isinstance(described["no"], ExpressionError)
    assert "nothing_of_that_name" in str(described["no"])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SET threads = 4",
        "INSTALL httpfs",
        "COPY (SELECT 1) TO 'x'",
    ],
)
def test_the_engine_reaches_nothing_outside(statement: str) -> None:
    with pytest.raises(Exception, match=r"disabled|locked|cannot|Cannot|not allowed"):
        new_connection().execute(statement).fetchall()
