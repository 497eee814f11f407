"""Casts in ``sql`` that would leave out a part of a text: the row is rejected."""

from __future__ import annotations

import pytest

from tests.pipelines.two_databases import TwoDatabases

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


@pytest.mark.parametrize("written", ["CAST(v AS {})", "coalesce(v::{}, NULL)", "try_cast(v AS {})"])
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
        arrived = dict(databases.target.rows(f"SELECT id, v::text FROM {kind}_texts"))
        for number, (text, value) in enumerate(texts.items()):
            assert arrived.get(number) == value, text
            assert ((f"{kind}_texts", str(number)) in rejected) == (value is None), text
