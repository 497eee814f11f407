"""Expressions: which are taken, what they read, and why others are refused."""

from __future__ import annotations

import re

import pytest

from schemas.sql.embedded_duckdb import new_connection
from schemas.sql.expressions import ExpressionError, describe_expressions, parse_expression


def bound(text: str) -> str:
    return parse_expression(text).bind(lambda name: "src." + name[-1])


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
    ("text", "message"),
    [
        ("a +", "error"),
        ("", "error"),
        ("1) FROM x (", "error|statement"),
        ("a; DROP TABLE x", "error"),
        ("a) ORDER BY (a", "statement"),
        ("a) LIMIT (1", "statement"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse_expression(text)


NO_VALUES_OF_ONE_ROW = {
    "unnest(string_split(a, ';'))": "several rows",
    "unnest(l)[1]": "several rows",
    "upper(main.unnest(l))": "several rows",
    "unnest({'x': n})": "several rows",
    "unlist(l)": "several rows",
    "generate_subscripts(l, 1)": "several rows",
    "regexp_split_to_table(a, ';')": "several rows",
    "COLUMNS(*)": r"'\*' ha",
    "*": r"'\*' ha",
    "#1": "'#1'",
    "a = ?": r"'\?'",
    "a = $x": r"'\$1'",
    "sum(n)": "aggregate",
    "geomean(n)": "aggregate",
    "json_group_array(a)": "aggregate",
    "max(n) FILTER (n > 1)": "aggregate",
    "row_number() OVER ()": "window",
    "lag(n) OVER (ORDER BY n)": "window",
    "(SELECT 1)": "subquery",
    "n IN (SELECT 1)": "subquery",
    "pg_get_viewdef(n)": "DuckDB",
    "get_block_size(a)": "DuckDB",
    "read_text(a)": "several rows",
    "query(a)": "several rows",
    "from_substrait(a)": "does not exist|substrait",
    "now()": "clock",
    "current_date": "clock",
    "localtimestamp": "clock",
    "today()": "clock",
    "current_localtimestamp()": "clock",
    "current_localtime()": "clock",
    "get_current_timestamp()": "clock",
    "pg_postmaster_start_time()": "clock",
    "age(ts)": "clock",
    "age(ts::TIMESTAMPTZ)": "clock",
    "ago(INTERVAL 1 DAY)": "clock",
    "random() < 0.5": "chance",
    "gen_random_uuid()": "chance",
    "uuid()": "chance",
    "setseed(0.5)": "chance",
    "nextval('s')": "chance",
    "txid_current()": "chance",
    "list_transform(l, x -> x || random())": "chance",
    "getvariable('x')": "DuckDB",
    "current_setting('TimeZone')": "DuckDB",
    "current_user()": "DuckDB",
    "version()": "DuckDB",
    "date_trunc('day', timezone('Europe/Berlin', ts))": "on_ambiguous",
    "ts AT TIME ZONE a": "on_ambiguous",
    "ts::timestamptz": "read as UTC",
    "coalesce(try_cast(a AS timestamptz), timezone('UTC', ts))": "read as UTC",
    "strptime(a, '%d.%m.%y')": "century: past",
    "coalesce(try_strptime(a, ['%Y', '%%%y']), ts)": "century: past",
    "has_table_privilege(a, 'select')": "DuckDB",
}
COLUMNS = {"a": "VARCHAR", "n": "INTEGER", "ts": "TIMESTAMP", "l": "VARCHAR[]"}


@pytest.mark.parametrize("text", NO_VALUES_OF_ONE_ROW)
def test_what_is_not_one_steady_value_of_one_row_is_refused(text: str) -> None:
    message = NO_VALUES_OF_ONE_ROW[text]
    expression = parse_expression(text)
    if not expression.problems:
        described = describe_expressions({"": expression.bind("".join)}, COLUMNS)[""]
        assert isinstance(described, ExpressionError)
        assert re.search(message, str(described))
    for problem in expression.problems:
        assert re.search(message, problem)


@pytest.mark.parametrize(
    "text",
    [
        "string_split(a, ';')[1]",
        "split_part(a, ';', 1)",
        "list_sum([n, 2])",
        "list_aggregate([n], 'median')",
        "list_transform(l, x -> x || a)",
        "[x || a for x in l if x <> a]",
        "len(generate_series(1, n))",
        "age(ts, ts)",
        "a::ENUM('x', 'y')",
        "n BETWEEN 1 AND 3 AND a COLLATE nocase = 'x'",
        "CASE WHEN n IN (1, 2) THEN a ELSE coalesce(a, 'x') END",
        "date_trunc('day', timezone('UTC', ts))",
        "timezone('Europe/Berlin', timezone('UTC', ts))",
        "ts < '2020-01-01 00:00+00'::timestamptz",
        "ts < timezone('UTC', ts)",
        "strptime(a, '%d.%m.%Y %%y')",
        "extract(year FROM ts) + days_in_month(ts)",
        "pi()",
        "a ->> '$.x'",
        "nullif(a, '')",
        "(l).list_filter(x -> x <> '')",
    ],
)
def test_values_of_one_row_are_taken(text: str) -> None:
    expression = parse_expression(text)
    assert expression.problems == ()
    assert isinstance(describe_expressions({"": expression.bind("".join)}, COLUMNS)[""], str)


def test_every_function_that_duckdb_calls_unsteady_is_refused() -> None:
    """Whatever functions there are: nothing but what depends on its arguments can be called."""
    volatile = new_connection().execute(
        "SELECT function_name, len(parameters) FROM duckdb_functions() WHERE function_type ="
        " 'scalar' AND (stability <> 'CONSISTENT' OR (len(parameters) = 0 AND return_type LIKE"
        " 'TIME%'))"
    )
    for name, arguments in volatile.fetchall():
        text = f'"{name}"({", ".join(["a"] * arguments)})'
        assert parse_expression(text).problems, name


def test_all_problems_of_an_expression_are_found() -> None:
    problems = parse_expression("sum(n) + random() + unnest(l)").problems
    assert [p.partition("()")[0] for p in problems] == ["sum", "random", "unnest"]


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
