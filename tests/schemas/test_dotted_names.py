"""Tables and columns whose names have a dot are quoted as in SQL."""

from __future__ import annotations

from tests.support.databases.two_databases import TwoDatabases


def test_names_with_dots_in_source_and_target(databases: TwoDatabases) -> None:
    databases.legacy.run(
        'CREATE TABLE "lab.results" (id int PRIMARY KEY, "v.w" text);'
        "INSERT INTO \"lab.results\" VALUES (1, 'x');"
        "CREATE TABLE c (id int PRIMARY KEY, up int); INSERT INTO c VALUES (1, 1)"
    )
    databases.target.run(
        'CREATE TABLE "lab.results" (id int PRIMARY KEY, "v.w" text, "x.y" text);'
        "CREATE TABLE c (id int PRIMARY KEY, up int)"
    )
    databases.migrate("""
tables:
  '"lab.results"':
    from: '"lab.results"'
    key: [id]
    copy: [id, "v.w"]
    fields: {"x.y": {sql: 'upper(src."v.w")'}}
    rules: {RULE: "out.\\"x.y\\" = 'X'"}
  c: {from: c, key: [id], copy: [id], fields: {up: {from: up, ref: '"lab.results"'}}}
""")
    assert databases.target.rows('TABLE "lab.results"') == [(1, "x", "X")]
    assert databases.target.rows("TABLE c") == [(1, 1)]
