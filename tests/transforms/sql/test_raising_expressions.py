"""Expressions that raise on a row, alone and with parts in common."""

from __future__ import annotations

from tests.support.databases.two_databases import TwoDatabases

LEGACY = """
CREATE TABLE src (id int PRIMARY KEY, d text, amount text);
INSERT INTO src VALUES (1, '2020-05-17', '5'), (2, 'oops', '6'), (3, '2021-01-01', 'x'),
    (4, '2022-02-02', '7');
"""

TARGET = """
CREATE TABLE dates (id int PRIMARY KEY, y int, m int);
CREATE TABLE sums (id int PRIMARY KEY, n int);
CREATE TABLE rules (id int PRIMARY KEY, amount text);
CREATE TABLE skips (id int PRIMARY KEY);
CREATE TABLE kept (id int PRIMARY KEY, y int, m int);
CREATE TABLE winners (id int PRIMARY KEY);
"""

SPECIFICATION = """
tables:
  dates:
    {from: src, key: [id], copy: [id],
     fields: {y: {sql: "year(d::date)", type: int}, m: {sql: "month(d::date)", type: int}}}
  sums: {from: src, key: [id], copy: [id], fields: {n: {sql: "year(d::date) + year(d::date)"}}}
  rules:
    {from: src, key: [id], copy: [id], fields: {amount: {from: amount}},
     rules: {A: "amount::int > 3", B: "amount::int < 100"}}
  skips:
    {from: src, key: [id], copy: [id],
     skip: {A: "year(d::date) = 2022", B: "month(d::date) = 1"}}
  kept:
    from: src
    key: [id]
    copy: [id]
    fields:
      y: {sql: "year(d::date)", type: int, on_error: set_null}
      m: {sql: "month(d::date)", type: int, on_error: set_null}
  winners:
    {from: src, key: [id], fields: {id: {sql: "id % 2 + 1", type: int}},
     duplicates: {keep: last, order: ["year(d::date)", "month(d::date)"]}}
"""


def test_parts_that_expressions_share_may_raise(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    tables = databases.migrate(SPECIFICATION).summary.tables
    assert {name: (t.accepted, t.rejected, t.skipped) for name, t in tables.items()} == {
        "dates": (3, 1, 0),
        "sums": (3, 1, 0),
        "rules": (3, 1, 0),
        "skips": (1, 1, 2),
        "kept": (4, 0, 0),
        "winners": (2, 2, 0),
    }
    raised = [e[:2] for e in databases.errors() if e[2] == "TRANS-005"]
    assert raised == [
        *[("dates", "2")] * 2,
        *[("rules", "3")] * 2,
        *[("skips", "2")] * 2,
        ("sums", "2"),
    ]
    assert [w[:3] for w in databases.warnings()] == [("kept", "2", "TRANS-005")] * 2
