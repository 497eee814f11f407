"""``plan``: what it predicts is what a migration then does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.errors import ExitStatus
from tests.support.databases.two_databases import HEADER, TwoDatabases, two_databases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json
from tests.support.runs.predictions import assert_predicted

pytestmark = pytest.mark.slow


Capture = pytest.CaptureFixture[str]

Found = Counter[tuple[str, str, str, str | None, bool]]


def _predicted(plan: dict[str, Any]) -> Found:
    return Counter(
        {
            (load, p["code"], p["rule"], p["reason"], p["warning"]): p["rows"]
            for load, table in plan["tables"].items()
            for p in table["predicted"]
        }
    )


def _recorded(databases: TwoDatabases) -> Found:
    rows = databases.target.rows(
        "SELECT load, error_code, rule_id, reason, warning FROM migration.migration_errors"
    )
    return Counter(rows)


def _same_as_migrated(databases: TwoDatabases, plan: dict[str, Any], tables: str) -> None:
    outcome = databases.migrate(tables)
    assert _predicted(plan) == _recorded(databases)
    assert_predicted(plan, outcome.summary)


def test_a_small_hospital(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    databases.write(TABLES)
    plan = run_json(databases, capsys, ["plan", "SPEC"])
    assert plan["levels"] == [["patients"], ["visits"], ["diagnoses"]]
    assert (plan["rows"], plan["sampled"], plan["estimated"]) == (15, 15, False)
    assert plan["tables"]["patients"]["not_predicted"] == []
    assert plan["tables"]["visits"]["not_predicted"] == []
    assert plan["seconds"] > 0
    assert plan["connections"]["sources"]["source"] >= 2
    assert plan["connections"]["target"] >= 2
    _same_as_migrated(databases, plan, TABLES)


VARIETY = """
tables:
  wards:
    from: [old_wards, new_wards]
    key: [id]
    source_key: [house, code]
    fields:
      id: {generate: uuid5}
      name: {from: name, required: true}
  people:
    from: people
    key: [no]
    duplicates: {keep: last, order: [seen], losers: skip}
    skip: {TEST: "name = 'test'"}
    fields:
      no: {from: no, transform: trim}
      name: {from: name, required: true}
      weight: {from: weight, type: "numeric(5,1)"}
  stays:
    from: stays
    key: [id]
    copy: [id]
    fields:
      ward_id: {from: [house, ward], ref: wards, on_missing: reject}
      person: {from: person, ref: people, on_missing: set_null, on_skipped: reject,
               take: {person_weight: weight}}
      second: {from: second, ref: people, on_missing: allow}
      half: {sql: "round(out.person_weight / 2, 2)", type: "numeric(9,2)"}
    rules:
      PERSON_IS_LIGHT: person_weight < 100
  meals:
    from: meals
    key: [id]
    copy: [id]
    fields: {stay: {from: stay, ref: stays}}
"""


def test_a_variety_of_keys_and_references(databases: TwoDatabases, capsys: Capture) -> None:
    databases.legacy.run(
        "CREATE TABLE old_wards (house text, code int, name text);"
        "CREATE TABLE new_wards (house text, code int, name text);"
        "INSERT INTO old_wards VALUES ('N', 1, 'one'), ('N', 2, NULL);"
        "INSERT INTO new_wards VALUES ('S', 1, 'three');"
        "CREATE TABLE people (id int PRIMARY KEY, no text, name text, weight text, seen date);"
        "INSERT INTO people VALUES (1, 'a', 'A', '70.5', '2020-01-01'),"
        " (2, 'a ', 'A', '71.5', '2021-01-01'), (3, 'b', NULL, '1', NULL),"
        " (4, 'c', 'test', '1', NULL), (5, 'd', 'D', '100', NULL), (6, 'd', NULL, '1', NULL),"
        " (7, 'e', 'E', '1234567', NULL);"
        "CREATE TABLE stays (id int PRIMARY KEY, house text, ward int, person text, second text);"
        "INSERT INTO stays VALUES (1, 'N', 1, 'a', 'z'), (2, 'N', 2, 'a', NULL),"
        " (3, 'S', 1, 'b', NULL), (4, 'S', 1, 'c', NULL), (5, 'S', 9, 'd', NULL),"
        " (6, 'S', 1, 'd', 'c'), (7, NULL, NULL, NULL, NULL), (8, 'N', 1, 'before', NULL);"
        "CREATE TABLE meals (id int PRIMARY KEY, stay int);"
        "INSERT INTO meals SELECT i, 1 + i % 10 FROM generate_series(1, 40) i"
    )
    databases.target.run(
        "CREATE TABLE wards (id uuid PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE people (no text PRIMARY KEY, name text NOT NULL, weight numeric(5,1));"
        "INSERT INTO people VALUES ('before', 'B', 120);"
        "CREATE TABLE stays (id int PRIMARY KEY, ward_id uuid, person text, second text,"
        " half numeric(9,2));"
        "CREATE TABLE meals (id int PRIMARY KEY, stay int)"
    )
    databases.write(VARIETY)
    plan = run_json(databases, capsys, ["plan", "SPEC"])
    assert all(table["not_predicted"] == [] for table in plan["tables"].values())
    _same_as_migrated(databases, plan, VARIETY)


REFUSED = """
tables:
  people:
    from: legacy_people
    key: [id]
    skip: {GONE: "name = 'gone'"}
    fields:
      id: {from: id}
      name: {from: name}
      boss: {from: boss, ref: people, deferred: true, on_missing: reject, on_skipped: skip}
      friend: {from: friend, ref: people, deferred: true, on_missing: set_null,
               on_skipped: reject}
  notes: {from: legacy_notes, key: [id], write: skip_existing, copy: [id, note]}
  marks:
    from: {table: legacy_marks, unpivot: {columns: {mark: "m{n}"}, position: no, empty: skip}}
    source_key: [id]
    key: [id, no]
    copy: [id]
    fields: {no: {from: no}, mark: {from: mark, type: int}, person: {from: person, ref: people}}
  words:
    from:
      table: legacy_marks
      split: {column: words, into: word, by: ";", position: no, empty: reject}
    source_key: [id]
    key: [id, no]
    copy: [id]
    fields: {no: {from: no}, word: {from: word}}
"""


def test_what_the_target_refuses_and_what_is_spread(
    databases: TwoDatabases, capsys: Capture
) -> None:
    """Checks, guards among triggers, keys that stand in the target; candidates that rows don't
    count; and references of a table to itself, which pull each other down."""
    databases.legacy.run(
        "CREATE TABLE legacy_people (id int PRIMARY KEY, name text, boss int, friend int);"
        "INSERT INTO legacy_people SELECT i, 'p' || i, nullif(i / 2, 0), nullif(i % 7, 0)"
        " FROM generate_series(1, 60) i;"
        # Refused by a check, a guard and keys; skipped; without a boss.
        "UPDATE legacy_people SET name = 'X' WHERE id = 9;"
        "UPDATE legacy_people SET name = 'bad' WHERE id IN (11, 5);"
        "UPDATE legacy_people SET name = NULL WHERE id = 13;"
        "UPDATE legacy_people SET name = 'gone' WHERE id IN (3, 17);"
        "UPDATE legacy_people SET boss = 77 WHERE id = 20;"
        "UPDATE legacy_people SET boss = 500 WHERE id = 21;"
        "UPDATE legacy_people SET friend = 78 WHERE id = 22;"
        "CREATE TABLE legacy_notes (id int PRIMARY KEY, note text);"
        "INSERT INTO legacy_notes VALUES (1, 'a'), (2, 'b'), (3, ''), (4, 'd');"
        "CREATE TABLE legacy_marks (id int PRIMARY KEY, person int, words text, m1 text, m2 text,"
        " m3 text);"
        "INSERT INTO legacy_marks SELECT i, i, repeat('w;', i % 4), i::text,"
        " CASE WHEN i % 3 = 0 THEN 'x' END, CASE WHEN i % 2 = 0 THEN '1' END"
        " FROM generate_series(1, 40) i;"
        "UPDATE legacy_marks SET m1 = NULL, m2 = NULL, m3 = NULL WHERE id IN (7, 8)"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL CHECK (name <> 'X'),"
        " boss int REFERENCES people, friend int REFERENCES people);"
        "INSERT INTO people VALUES (41, 'before'), (500, 'before');"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
        "CREATE TRIGGER guard BEFORE INSERT ON people FOR EACH ROW WHEN (new.name = 'bad')"
        " EXECUTE FUNCTION refuse();"
        "CREATE TABLE notes (id int PRIMARY KEY, note text UNIQUE);"
        "INSERT INTO notes VALUES (2, 'before'), (9, 'd');"
        "CREATE TABLE marks (id int, no int, mark int CHECK (mark < 35), person int,"
        " PRIMARY KEY (id, no));"
        "CREATE TABLE words (id int, no int, word text, PRIMARY KEY (id, no))"
    )
    databases.write(REFUSED)
    plan = run_json(databases, capsys, ["plan", "SPEC", "--full"])
    assert all(table["not_predicted"] == [] for table in plan["tables"].values())
    reasons = {(p["code"], p["reason"]) for p in plan["tables"]["people"]["predicted"]}
    assert {
        ("TRANS-004", "check_violation"),
        ("DATA-002", "parent_rejected"),
        ("DATA-002", "missing_parent"),
        ("DATA-002", "set_null"),
        ("DATA-004", "existing_key"),
    } <= reasons
    assert plan["tables"]["notes"]["skipped_by"] == {"existing": 1}
    assert plan["tables"]["marks"]["empty"] == 2
    _same_as_migrated(databases, plan, REFUSED)


def test_a_trigger_that_cannot_be_foreseen_is_named(
    databases: TwoDatabases, capsys: Capture
) -> None:
    fill(databases)
    databases.target.run(
        "CREATE FUNCTION maybe() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF new.day > '2020-01-01' THEN RAISE EXCEPTION 'no'; END IF; RETURN new; END $$;"
        "CREATE TRIGGER watcher BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION maybe()"
    )
    databases.write(TABLES)
    visits = run_json(databases, capsys, ["plan", "SPEC"])["tables"]["visits"]
    assert visits["not_predicted"] == ["the trigger watcher may refuse or change rows"]


def test_nothing_is_written(
    databases: TwoDatabases, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(databases)
    databases.write(TABLES)
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    for flags in ([], ["--full"]):
        assert run_json(databases, capsys, ["plan", "SPEC", *flags])["violations"]
    assert databases.target.rows("SELECT FROM pg_namespace WHERE nspname = 'migration'") == []
    assert databases.target.rows("SELECT FROM pg_sequences WHERE last_value IS NOT NULL") == []


MANY = """
tables:
  parents:
    from: parents
    key: [id]
    copy: [id, filler]
    fields: {code: {from: code, type: int}}
  children:
    from: children
    key: [id]
    copy: [id]
    fields: {parent: {from: parent, ref: parents, take: {code_of_parent: code}}}
    rules: {PARENT_HAS_CODE: code_of_parent > 0}
"""


@pytest.fixture(scope="module")
def many(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    """Two thousand rows in a dozen partitions; one in ten is bad, the later ones more often."""
    with two_databases(server, tmp_path_factory.mktemp("many")) as databases:
        databases.legacy.run(
            "CREATE TABLE parents AS SELECT i AS id, repeat('x', 400) AS filler,"
            " CASE WHEN i % 20 = 0 OR i > 1900 THEN 'bad' ELSE '7' END AS code"
            " FROM generate_series(1, 2000) i; ALTER TABLE parents ADD PRIMARY KEY (id);"
            "CREATE TABLE children AS SELECT i AS id, i AS parent FROM generate_series(1, 50) i;"
            "ALTER TABLE children ADD PRIMARY KEY (id)"
        )
        databases.target.run(
            "CREATE TABLE parents (id int PRIMARY KEY, filler text, code int NOT NULL);"
            "CREATE TABLE children (id int PRIMARY KEY, parent int)"
        )
        databases.write(MANY, HEADER.replace("limits: {", "limits: {memory: 1KB, "))
        yield databases


def test_a_sample(many: TwoDatabases, capsys: Capture) -> None:
    plan = run_json(many, capsys, ["plan", "SPEC", "--sample", "1000"])
    parents, children = plan["tables"]["parents"], plan["tables"]["children"]
    assert (plan["estimated"], plan["rows"]) == (True, 2050)
    assert parents["partitions"] > 5
    assert 900 <= parents["sampled"] <= 1000
    (rejected,) = parents["predicted"]
    assert rejected["in_sample"] < rejected["rows"]
    assert rejected["rows"] == pytest.approx(195, rel=0.4)
    assert parents["rejected"] + parents["accepted"] == pytest.approx(2000, abs=1)
    # What hangs on parents outside of the sample isn't guessed.
    assert (children["sampled"], children["predicted"]) == (50, [])
    assert children["not_predicted"] == [
        "parent: the reference to parents, which was read in part",
        "PARENT_HAS_CODE: it depends on such a reference",
    ]
    assert run(many, "plan", "SPEC", "--sample", "1000") == 0
    assert f"estimated from {plan['sampled']:,} rows of 2,050" in capsys.readouterr().out


def test_single_loads(many: TwoDatabases, capsys: Capture) -> None:
    plan = run_json(many, capsys, ["plan", "SPEC", "--table", "children"])
    assert (plan["levels"], plan["tables"].keys()) == ([["children"]], {"children"})
    assert plan["rows"] == plan["sampled"] == 50
    assert plan["tables"]["children"]["not_predicted"] == [
        "parent: the reference to parents, which this plan leaves out: name it with --table too",
        "PARENT_HAS_CODE: it depends on such a reference",
    ]
    both = ["--table", "children", "--table", "parents", "--full"]
    plan = run_json(many, capsys, ["plan", "SPEC", *both])
    assert plan["tables"]["children"]["not_predicted"] == []
    assert plan == {
        **run_json(many, capsys, ["plan", "SPEC", "--full"]),
        "seconds": plan["seconds"],
    }


def test_checks_that_raise_errors_of_any_kind(databases: TwoDatabases, capsys: Capture) -> None:
    states = ["23514", "38000", "40001", "53200", "55000", "XX000"]
    for state in states:
        table = f"t{state.lower()}"
        databases.legacy.run(f"CREATE TABLE {table} (a int PRIMARY KEY, b int)")
        databases.legacy.run(f"INSERT INTO {table} VALUES (1, 1), (2, NULL)")
        databases.target.run(
            f"CREATE FUNCTION raise_{table}(int) RETURNS bool LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE SQLSTATE '{state}'; END $$;"
            f"CREATE TABLE {table} (a int PRIMARY KEY CHECK (raise_{table}(a)), b int NOT NULL)"
        )
    loads = "".join(
        f"  t{s}: {{from: t{s}, key: [a], copy: [a, b]}}\n" for s in map(str.lower, states)
    )
    databases.write("tables:\n" + loads)
    tables = run_json(databases, capsys, ["plan", "SPEC"])["tables"]
    for state in states:
        told = tables[f"t{state.lower()}"]
        assert told["rejected"] == 1
        assert told["not_predicted"] == [
            f"constraints and existing keys, which can't be asked for (SQLSTATE {state})"
        ]


RANKED = """
tables:
  wards: {from: wards, key: [code], copy: [code, level]}
  beds:
    from: beds
    key: [no]
    duplicates: {keep: last, order: [out.level_of_ward]}
    fields:
      no: {from: no, transform: trim}
      ward: {from: ward, ref: wards, take: {level_of_ward: level}}
"""


def test_duplicates_that_a_parent_ranks(databases: TwoDatabases, capsys: Capture) -> None:
    databases.legacy.run(
        "CREATE TABLE wards (code text PRIMARY KEY, level int);"
        "CREATE TABLE beds (id int PRIMARY KEY, no text, ward text);"
        "INSERT INTO wards VALUES ('A', 2), ('B', 1);"
        "INSERT INTO beds VALUES (1, 'x', 'A'), (2, 'x ', 'B'), (3, 'y', 'A')"
    )
    databases.target.run(
        "CREATE TABLE wards (code text PRIMARY KEY, level int);"
        "CREATE TABLE beds (no text PRIMARY KEY, ward text)"
    )
    databases.write(RANKED)
    beds = run_json(databases, capsys, ["plan", "SPEC", "--sample", "1"])["tables"]["beds"]
    assert beds["predicted"] == []
    assert beds["not_predicted"] == [
        "ward: the reference to wards, which was read in part",
        "duplicate keys: they depend on such a reference",
    ]
    _same_as_migrated(databases, run_json(databases, capsys, ["plan", "SPEC"]), RANKED)


def test_every_row(many: TwoDatabases, capsys: Capture) -> None:
    plan = run_json(many, capsys, ["plan", "SPEC", "--full"])
    assert (plan["estimated"], plan["sampled"]) == (False, 2050)
    assert plan["tables"]["parents"]["rejected"] == 195
    (orphans,) = plan["tables"]["children"]["predicted"]
    assert (orphans["reason"], orphans["rows"]) == ("parent_rejected", 2)


@pytest.mark.parametrize(
    ("budget", "broken"),
    [
        ("{rejected: 5%, min_rows: 100}", [("parents", None)]),
        ("{rejected: 5%, min_rows: 100000}", []),
        ("{rejected: 50%, min_rows: 0}", []),
        ("{DATA-003: 10, DATA-002: 5%}", [("parents", "DATA-003")]),
        ("{DATA-003: 195}", []),
    ],
)
def test_budgets(many: TwoDatabases, capsys: Capture, budget: str, broken: list[Any]) -> None:
    path = many.folder / "specification.yaml"
    before = path.read_text()
    path.write_text(f"errors: {{budget: {budget}}}\n{before}")
    capsys.readouterr()
    status = run(many, "plan", "SPEC", "--full", "--json")
    path.write_text(before)
    printed = capsys.readouterr()
    budgets = json.loads(printed.out)["broken_budgets"]
    assert [(b["load"], b["code"]) for b in budgets] == broken
    assert status == (ExitStatus.BLOCKED if broken else ExitStatus.COMPLETE)
    assert ("195 of 2,000 rows rejected" in printed.err) == bool(broken)


def test_parents_that_are_loaded_already(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    databases.migrate(TABLES, only=["patients"])
    databases.target.run("DELETE FROM patients WHERE patient_id = 'P5'")
    databases.write(TABLES)
    plan = run_json(databases, capsys, ["plan", "SPEC"])
    kinds = {p["reason"]: p["rows"] for p in plan["tables"]["visits"]["predicted"] if p["reason"]}
    # P9 was never there and P2 was rejected; of P5, which is gone, a duplicate was rejected.
    assert kinds == {"missing_parent": 1, "parent_rejected": 2}


def test_empty_tables(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    databases.legacy.run("TRUNCATE legacy_patients, legacy_visits, legacy_diagnoses")
    databases.write(TABLES)
    plan = run_json(databases, capsys, ["plan", "SPEC"])
    assert (plan["rows"], plan["violations"], plan["estimated"]) == (0, {}, False)
    assert run(databases, "plan", "SPEC") == 0
    _same_as_migrated(databases, plan, TABLES)


def test_what_keeps_a_migration_from_starting(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    databases.write(TABLES.replace("from: name, transform", "from: nothing, transform"))
    (problem,) = run_json(databases, capsys, ["plan", "SPEC"], 2)["problems"]
    assert problem["code"] == "TRANS-001"
