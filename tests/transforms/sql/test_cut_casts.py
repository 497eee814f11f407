"""Casts in ``sql`` that would leave out a part of a text: the row is rejected."""

from __future__ import annotations

import pytest

from schemas.errors import TransfuseError
from tests.support.databases.two_databases import TwoDatabases

CASES = {
    # Each text with what the cast makes of it; None: it would leave something out.
    "date": {
        "2024-01-02": "2024-01-02",
        " 2024-1-2 ": "2024-01-02",
        "2024/01/02": "2024-01-02",
        "2024-01-02 12:30": "2024-01-02",
        "2024-01-02T12:30:00.5Z": "2024-01-02",
        "infinity": "infinity",
        "2024-01-02 xyz": None,
        "2024-01-02)": None,
        "0044-03-15 BC": None,
        "2024-01-02 12:30 BC": None,
    },
    "timestamp": {
        "2024-01-02": "2024-01-02 00:00:00",
        "2024-01-02 12:30:00.123456": "2024-01-02 12:30:00.123456",
        "2024-01-02 12:30:00.1234560": "2024-01-02 12:30:00.123456",
        "2024-01-02T12:30": "2024-01-02 12:30:00",
        "2024-01-02 12:30:00.1234567": None,
        "2024-01-02 12:30:00+02": None,
        "2024-01-02T12:30:00Z": None,
    },
    "time": {
        "12:30": "12:30:00",
        "12:30:00.123456": "12:30:00.123456",
        "2024-01-02 12:30:00": "12:30:00",
        "12:30:00.1234567": None,
        "12:30:00xyz": None,
    },
}


WRITTEN = (
    "CAST(v AS {})",
    "coalesce(try_cast(v AS {}), NULL)",
    "CAST(nullif(trim(v), '') AS {})",
    "CASE WHEN v <> 'n/a' THEN CAST(coalesce(v, '') AS {}) END",
)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_cast_leaves_out_nothing(databases: TwoDatabases, written: str) -> None:
    loads = ""
    for kind, texts in CASES.items():
        values = ", ".join(f"({i}, '{text}')" for i, text in enumerate(texts))
        databases.legacy.run(
            f"CREATE TABLE {kind}_texts (id int PRIMARY KEY, v text);"
            f"INSERT INTO {kind}_texts VALUES {values}"
        )
        databases.target.run(f"CREATE TABLE {kind}_texts (id int PRIMARY KEY, v {kind})")
        field = '{v: {sql: "' + written.format(kind.upper()) + '"}}'
        loads += f"  {kind}_texts: {{from: {kind}_texts, copy: [id], fields: {field}}}\n"
    databases.migrate(f"tables:\n{loads}")
    rejected = {(e[0], e[1]) for e in databases.errors() if e[2] == "TRANS-005"}
    for kind, texts in CASES.items():
        arrived: dict[int, str | None] = dict(
            databases.target.rows(f"SELECT id, v::text FROM {kind}_texts")
        )
        for number, (text, value) in enumerate(texts.items()):
            assert arrived.get(number) == value, text
            assert ((f"{kind}_texts", str(number)) in rejected) == (value is None), text


def test_what_a_cast_does_not_read_is_left_to_the_expression(databases: TwoDatabases) -> None:
    """Only texts of which it reads a part are rejected."""
    databases.legacy.run(
        "CREATE TABLE births (id int PRIMARY KEY, v text);"
        "INSERT INTO births VALUES (1, '1950-03-12'), (2, '12.03.1950'), (3, 'n/a'),"
        " (4, '1950-03-12 xyz')"
    )
    databases.target.run("CREATE TABLE births (id int PRIMARY KEY, v date, early date)")
    databases.migrate(
        """
tables:
  births:
    from: births
    copy: [id]
    fields:
      v: {sql: "coalesce(try_cast(v AS DATE), try_strptime(v, '%d.%m.%Y')::DATE)"}
      early: {sql: "CAST(left(v, 10) AS DATE)", on_error: set_null}
"""
    )
    arrived = databases.target.rows("SELECT id, v::text, early::text FROM births ORDER BY id")
    assert arrived == [
        (1, "1950-03-12", "1950-03-12"),
        (2, "1950-03-12", None),
        (3, None, None),
    ]
    assert [e[:3] for e in databases.errors()] == [("births", "4", "TRANS-005")]


def test_an_order_is_not_decided_by_a_part_of_a_text(databases: TwoDatabases) -> None:
    """Without its offset 10:00+05 would be later than 09:00+00, and it is earlier."""
    databases.legacy.run(
        "CREATE TABLE visits (id int PRIMARY KEY, ward text, seen text);"
        "INSERT INTO visits VALUES (1, 'a', '2024-01-01 10:00:00+05'),"
        " (2, 'a', '2024-01-01 09:00:00')"
    )
    databases.target.run("CREATE TABLE visits (ward text PRIMARY KEY, id int)")
    databases.migrate(
        """
tables:
  visits:
    from: visits
    key: [ward]
    copy: [ward, id]
    duplicates: {keep: last, order: ["CAST(seen AS TIMESTAMP)"]}
"""
    )
    assert databases.target.rows("SELECT ward, id FROM visits") == [("a", 2)]


def test_names_that_differ_in_case_alone_stay_apart(databases: TwoDatabases) -> None:
    databases.legacy.run(
        'CREATE TABLE alike (id int PRIMARY KEY, v text, "V" text, n numeric, "N" numeric);'
        "INSERT INTO alike VALUES (1, '2024-01-02', '2024-01-03', 250, 1),"
        " (2, '2024-01-02', '2024-01-03 xyz', 1, 1), (3, '2024-01-02 xyz', '2024-01-03', 1, 1)"
    )
    databases.target.run("CREATE TABLE alike (id int PRIMARY KEY, days int)")
    load = (
        "tables:\n  alike:\n    from: alike\n    copy: [id]\n    fields: {{days: {{sql: '{}'}}}}\n"
    )
    databases.migrate(load.format('CAST("V" AS DATE) - CAST(v AS DATE)'))
    assert databases.target.rows("SELECT id, days FROM alike") == [(1, 1)]
    assert [e[1] for e in databases.errors()] == ["2", "3"]
    with pytest.raises(TransfuseError) as refused:
        databases.migrate(load.format('length(CAST(n + "N" AS VARCHAR))'))
    assert "decimals" in str(refused.value)
