"""Many loads into one table, and values too large to be sent."""

from __future__ import annotations

import pytest

from pipelines.run import graph
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run_json


def chain(databases: TwoDatabases, loads: int) -> str:
    """Loads into one table, each of which has to wait for the one before."""
    databases.legacy.run(
        "CREATE TABLE a (id int PRIMARY KEY, x text); INSERT INTO a VALUES (1, 'x')"
    )
    databases.target.run("CREATE TABLE a (id int PRIMARY KEY, x text)")
    one = "  l{}: {{from: a, into: a, write: upsert, key: [id], copy: [id, x]}}\n"
    return "tables:\n" + "".join(one.format(number) for number in range(loads))


@pytest.mark.slow
def test_many_levels_run_as_several_graphs(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "LEVELS_AT_ONCE", 2)
    outcome = databases.migrate(chain(databases, 5))
    assert [load.written for load in outcome.summary.tables.values()] == [1] * 5


@pytest.mark.slow
def test_more_loads_into_a_table_than_beam_can_chain(databases: TwoDatabases) -> None:
    outcome = databases.migrate(chain(databases, 80))
    assert sum(load.written for load in outcome.summary.tables.values()) == 80


@pytest.mark.slow
def test_a_row_that_is_too_large_to_be_sent(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.legacy.run(
        "CREATE TABLE a (id int PRIMARY KEY, doc bytea, note text);"
        "INSERT INTO a SELECT i, '\\x01', 'n' FROM generate_series(1, 20) i;"
        "INSERT INTO a VALUES (21, convert_to(repeat('x', 629145600), 'UTF8'), 'large')"
    )
    databases.target.run("CREATE TABLE a (id int PRIMARY KEY, doc bytea, note text)")
    databases.write("tables: {a: {from: a, key: [id], copy: [id, doc, note]}}")
    plan = run_json(databases, capsys, ["plan", "SPEC", "--full"])
    assert (plan["tables"]["a"]["accepted"], plan["tables"]["a"]["rejected"]) == (20, 1)
    assert run_json(databases, capsys, ["migrate", "SPEC"])["tables"]["a"]["written"] == 20
    assert databases.errors() == [("a", "21", "DATA-003", "doc.type", "too_large")]
    databases.legacy.run("UPDATE a SET doc = NULL WHERE id = 21")
    document = run_json(databases, capsys, ["rejects", "replay", "SPEC"])
    assert document["tables"]["a"]["accepted"] == 1
