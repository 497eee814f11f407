from __future__ import annotations

import duckdb
import pytest

from schemas.sql.distinct_names import with_distinct_names


def test_a_query_whose_names_differ_otherwise_stays_as_it_is() -> None:
    query = """SELECT "a" AS "x.a", 'A' AS "b" FROM batch"""
    assert with_distinct_names(query, ("a", "c")) == (query, {})


@pytest.mark.parametrize(
    ("query", "columns", "expected"),
    [
        ('SELECT "A", "a" FROM t', ("a", "A"), 'SELECT "A_", "a" FROM t'),
        ('SELECT "a" FROM (SELECT "a" AS "A")', (), 'SELECT "a" FROM (SELECT "a" AS "A_")'),
        ("""SELECT '"A" it''s "A"', "A", "a\"""", ("a",), """SELECT '"A" it''s "A"', "A_", "a\""""),
        ('SELECT "Q""x\'", "q""x\'"', ("q\"x'",), 'SELECT "Q""x\'_", "q""x\'"'),
        ('SELECT "A", "a"', ("A", "A_", "a"), 'SELECT "A", "a__"'),
    ],
)
def test_names_that_differ_in_case_alone_become_distinct(
    query: str, columns: tuple[str, ...], expected: str
) -> None:
    found, renamed = with_distinct_names(query, columns)
    assert found == expected
    given = tuple(renamed.get(name, name) for name in columns)
    assert len({name.lower() for name in given}) == len(given)
    assert with_distinct_names(found, given) == (found, {})


def test_duckdb_gives_each_column_its_own_value() -> None:
    query, _ = with_distinct_names('SELECT "a", "A" FROM (SELECT 1 AS "a", 2 AS "A")', ())
    assert duckdb.sql(query).fetchall() == [(1, 2)]
