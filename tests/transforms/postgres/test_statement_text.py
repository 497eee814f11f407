"""Statements in the log have no literals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from transforms.postgres.statement_text import LONGEST, hide_literals


@pytest.mark.parametrize(
    ("statement", "hidden"),
    [
        ("SELECT a1, t.b2, c$d FROM s.t", "SELECT a1, t.b2, c$d FROM s.t"),
        ("WHERE n = 4711", "WHERE n = ?"),
        ("WHERE n > -4711.50e-3", "WHERE n > -?"),
        ("WHERE n > .5", "WHERE n > ?"),
        ("WHERE n = 0x1F OR n = 0b101 OR n = 1_000_000", "WHERE n = ? OR n = ? OR n = ?"),
        ("a[1:2], 3::int", "a[?:?], ?::int"),
        ("WHERE n = 'Roe'", "WHERE n = ?"),
        ("WHERE n = 'O''Roe' AND m = ''", "WHERE n = ? AND m = ?"),
        ("date'2001-02-03', interval '1 day'", "date?, interval ?"),
        (r"WHERE n = E'O\'Roe\\' AND m = 1", "WHERE n = ? AND m = ?"),
        (r"WHERE n = e'O''Roe\n'", "WHERE n = ?"),
        (r"WHERE n = U&'\0041 Roe' AND m", "WHERE n = ? AND m"),
        ("WHERE n = B'101' AND m = x'1F' AND k = N'Roe'", "WHERE n = ? AND m = ? AND k = ?"),
        ("$$Roe$$, $a$ $$Roe$$ $b$ $a$, $ä1$Roe$ä1$", "?, ..."),
        ("n$$ = 1", "n$$ = ?"),
        ("WHERE n = $1 AND m = %(name)s AND k = %s", "WHERE n = $1 AND m = %(name)s AND k = %s"),
        ("""SELECT "it's 5", "a""b 6", U&"x'7" FROM t""",) * 2,
        ("SELECT 1 -- Roe's\n, 2", "SELECT ? , ?"),
        ("SELECT /* Roe /* 'x */ Roe */ a", "SELECT a"),
        ("SELECT 'a'\n  'b'", "SELECT ? ?"),
        ("x IN (1, 'b',3)", "x IN (?, ...)"),
        ("VALUES (1, 'a'), (2, 'b'), (3, 'c')", "VALUES (?, ...), ..."),
        ("SELECT\n  a,\n\tb", "SELECT a, b"),
    ],
)
def test_literals_become_question_marks(statement: str, hidden: str) -> None:
    assert hide_literals(statement) == hidden


@pytest.mark.parametrize(
    "statement",
    [
        # It ends at the first or at the second quote, as a setting of the server says.
        r"SELECT 'O\', 'Roe'",
        "SELECT 'Roe",
        'SELECT "Roe',
        "SELECT $a$ Roe",
        "SELECT $$ Roe",
        "SELECT /* Roe",
        r"SELECT E'Roe\'",
    ],
)
def test_in_doubt_the_text_is_left_out(statement: str) -> None:
    assert hide_literals(statement) == "SELECT (its text is left out)"


def test_long_statements_are_shortened() -> None:
    hidden = hide_literals("SELECT " + ", ".join(f"column_{n}" for n in range(5000)))
    assert len(hidden) == LONGEST + 4
    assert hidden.endswith(" ...")


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_texts_as_psycopg_quotes_them(values: list[str]) -> None:
    parts = [sql.SQL("{} AS c").format(value) for value in values]
    statement = sql.SQL("SELECT {} FROM t").format(sql.SQL(", ").join(parts)).as_string()
    expected = f"SELECT {', '.join(['? AS c'] * len(values))} FROM t"
    assert hide_literals(statement)[:LONGEST] == expected[:LONGEST]


@given(st.text(st.sampled_from("'\"\\$aE/*-\n1.&?")))
def test_every_text_is_split_somehow(statement: str) -> None:
    assert "\n" not in hide_literals(statement)


def test_statements_that_psycopg_composes_have_no_values() -> None:
    values = ("O'Roe", "back\\slash", "E'x", "$$Roe$$", 4711, -3.5, b"\x00Roe")
    composed = sql.SQL("SELECT {} FROM t").format(sql.SQL(", ").join(map(sql.Literal, values)))
    hidden = hide_literals(composed.as_string())
    assert hidden == "SELECT ?, ..., -?, ...::bytea FROM t"
