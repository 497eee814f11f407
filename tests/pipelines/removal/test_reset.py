"""``reset``: what a job wrote is removed, exactly, and ``migrate`` starts over."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from schemas.operation_tables import RECORDS
from tests.support.databases.as_role import as_role
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json
from tests.support.project import PROJECT
from tests.support.runs.held_runs import kill, someone_waits, wait_until
from tests.support.runs.replays import CONTENT, MENDED, Capsys, content, replay

PATIENTS, VISITS, DIAGNOSES = CONTENT

CONTROL_TABLES = (
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = 'migration' AND c.relkind = 'r'"
    " AND c.relname NOT IN ('code_mappings', 'migration_schema')"
    f" AND c.relname NOT IN {RECORDS}"
)


def reset(databases: TwoDatabases, capsys: Capsys, *flags: str, status: int = 0) -> Any:
    return run_json(databases, capsys, ["reset", "SPEC", "--yes", *flags], status)


def assert_forgotten(databases: TwoDatabases) -> None:
    for table in databases.target.values(CONTROL_TABLES):
        assert databases.target.row(f"SELECT count(*) FROM migration.{table}") == (0,), table


@pytest.mark.slow
def test_a_changed_field_of_a_complete_job_is_reset_and_starts_over(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    fill(databases)
    databases.target.run("INSERT INTO patients VALUES ('OLD', 'Old', NULL, NULL, NULL)")
    databases.migrate(TABLES)
    patients, visits, diagnoses = content(databases)
    changed = TABLES.replace("{from: day}", "{sql: day + 1}")
    problem = databases.refused(changed).problems[0]
    (command,) = re.findall(r"transfuse (reset .*), or leave", problem.remedy)
    assert command.endswith("specification.yaml --table visits --table diagnoses")
    capsys.readouterr()
    assert run(databases, *command.split(), "--yes") == 0
    assert "To start over: transfuse migrate" in capsys.readouterr().out
    assert content(databases) == [patients, [], []]
    databases.migrate(changed)
    moved = [(patient, day + timedelta(1)) for patient, day in visits]
    later = [(*rest, day + timedelta(1)) for *rest, day in diagnoses]
    assert content(databases) == [patients, moved, later]
    reset(databases, capsys)
    assert content(databases) == [[("(OLD,Old,,,)",)], [], []]
    assert_forgotten(databases)


WARDS = """
tables:
  wards:
    from: legacy_wards
    key: [id]
    fields: {id: {from: id}, name: {from: name}}
  people:
    from: legacy_people
    key: [id]
    fields:
      id: {from: id}
      ward: {from: ward, ref: wards, on_missing: placeholder}
      name: {from: name}
  more:
    from: legacy_more
    into: people
    key: [id]
    write: skip_existing
    fields: {id: {from: id}, name: {from: name}}
  parts:
    from: legacy_people
    key: [id]
    write: upsert
    fields: {id: {from: id}, name: {from: name}}
"""

WARDS_LEGACY = """
CREATE TABLE legacy_wards (id int PRIMARY KEY, name text);
INSERT INTO legacy_wards VALUES (1, 'a'), (2, 'b');
CREATE TABLE legacy_people (id int PRIMARY KEY, ward int, name text);
INSERT INTO legacy_people SELECT n, 1 + n % 4, CASE WHEN n % 50 = 0 THEN 'Bad' ELSE 'P' || n END
    FROM generate_series(1, 500) n;
CREATE TABLE legacy_more (id int PRIMARY KEY, name text);
INSERT INTO legacy_more SELECT n, 'M' || n FROM generate_series(490, 510) n;
"""

WARDS_TARGET = """
CREATE TABLE wards (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE people (id int PRIMARY KEY, ward int REFERENCES wards ON DELETE CASCADE, name text);
CREATE TABLE parts (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.name = 'Bad' THEN RAISE 'no'; END IF; RETURN new; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO people VALUES (505, NULL, 'before'); INSERT INTO wards VALUES (9, 'nine');
"""

WARDS_BEFORE: list[list[tuple[Any, ...]]] = [[(9, "nine")], [(505, None, "before")], []]


def wards_content(databases: TwoDatabases) -> list[Any]:
    return [
        databases.target.rows(f"TABLE {name} ORDER BY 1") for name in ("wards", "people", "parts")
    ]


def test_everything_that_a_job_wrote_is_removed_and_nothing_else(
    databases: TwoDatabases, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.legacy.run(WARDS_LEGACY)
    databases.target.run(WARDS_TARGET)
    databases.migrate(WARDS)
    # Rows that the target refused are traced in subtransactions, which have numbers of their own.
    assert databases.target.row(
        "SELECT max(cardinality(xids)) > 10 FROM migration.migration_written_rows"
    ) == (True,)
    databases.target.run("UPDATE people SET name = 'changed' WHERE id = 7")
    databases.target.run("VACUUM FREEZE people")
    written = wards_content(databases)

    monkeypatch.setattr("sys.stdin", io.StringIO())
    (problem,) = run_json(databases, capsys, ["reset", "SPEC"], 2)["problems"]
    assert problem["code"] == "USER-001"
    assert f"transfuse reset {databases.folder}" in problem["remedy"]
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run(databases, "reset", "SPEC") == 4
    assert "Delete 993 rows" in capsys.readouterr().err
    (problem,) = reset(databases, capsys, "--table", "people", status=2)["problems"]
    assert problem["remedy"].endswith(" --table wards --table people --table more")
    (problem,) = reset(databases, capsys, "--table", "peple", status=2)["problems"]
    assert problem["remedy"] == "did you mean 'people'?"
    # What was changed refers to a row of the job, with which it would be deleted.
    (problem,) = reset(databases, capsys, status=2)["problems"]
    assert problem["message"].startswith("rows of public.people (1) refer to rows of public.wards")
    (_, query) = problem["remedy"].split("reset again: ")
    assert databases.target.rows(query)[0][0] == 7
    # Nor is anything left to what a trigger does with rows of others.
    databases.target.run(
        "CREATE FUNCTION clear() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN DELETE FROM people WHERE id = 505; RETURN NULL; END $$;"
        "CREATE TRIGGER clear AFTER DELETE ON parts_2 FOR EACH ROW EXECUTE FUNCTION clear()"
    )
    (problem,) = reset(databases, capsys, "--table", "parts", status=2)["problems"]
    assert problem["remedy"].startswith("ALTER TABLE public.parts_2 DISABLE TRIGGER clear;")
    assert wards_content(databases) == written
    databases.target.run("DROP TRIGGER clear ON parts_2")

    assert reset(databases, capsys, "--table", "parts")["tables"] == {
        "parts": {"removed": 490, "left": 0}
    }
    databases.migrate(WARDS)
    assert wards_content(databases) == written
    databases.target.run("UPDATE people SET ward = NULL WHERE id = 7")
    tables = reset(databases, capsys)["tables"]
    assert {name: tuple(counts.values()) for name, counts in tables.items()} == {
        "wards": (2, 0),
        "people": (491, 1),
        "more": (10, 0),
        "parts": (490, 0),
    }
    wards, people, parts = WARDS_BEFORE
    assert wards_content(databases) == [wards, [(7, None, "changed"), *people], parts]
    assert_forgotten(databases)
    (problem,) = reset(databases, capsys, status=2)["problems"]
    assert "has not run yet" in problem["message"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def more(name: str) -> str:
    """What a load has beside its key: a reference to its own table, or one with a placeholder."""
    return {
        "linked": ", fields: {n: {from: id, ref: linked, deferred: true}}",
        "held": ", fields: {n: {sql: '99', ref: wards, on_missing: placeholder}}",
    }.get(name, "")


@pytest.mark.slow
def test_where_the_rows_of_a_job_cannot_be_told_nothing_is_removed(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    names = (
        *("upserted", "restored", "rewritten", "touched", "linked", "wards", "held"),
        *("earlier", "aged", "gone", "plain"),
    )
    specification = "tables:\n"
    for name in names:
        databases.legacy.run(
            f"CREATE TABLE {name} (id int PRIMARY KEY); INSERT INTO {name} VALUES (1), (2), (3)"
        )
        databases.target.run(f"CREATE TABLE {name} (id int PRIMARY KEY, n int DEFAULT 0)")
        write = ", write: upsert" if name == "upserted" else ""
        specification += f"  {name}: {{from: {name}, key: [id], copy: [id]{write}{more(name)}}}\n"
    databases.target.run(
        "INSERT INTO upserted VALUES (2);"
        "INSERT INTO touched VALUES (9); INSERT INTO linked VALUES (9);"
        "INSERT INTO wards VALUES (9);"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN EXECUTE format('UPDATE %I SET n = n + 1 WHERE id = 9', tg_table_name);"
        " RETURN new; END $$;"
        "CREATE TRIGGER touch BEFORE INSERT ON touched FOR EACH ROW EXECUTE FUNCTION touch();"
        "CREATE TRIGGER touch BEFORE UPDATE ON linked FOR EACH ROW WHEN (new.id < 9)"
        " EXECUTE FUNCTION touch();"
        "CREATE TRIGGER touch BEFORE INSERT ON wards FOR EACH ROW WHEN (new.id = 99)"
        " EXECUTE FUNCTION touch()"
    )
    databases.migrate(specification)
    stored = "migration.migration_written_rows"
    databases.target.run(
        # As a restore does: all rows are of one transaction.
        f"BEGIN; UPDATE restored SET n = 1; UPDATE {stored} SET id = -id WHERE load = 'restored';"
        "COMMIT; ALTER TABLE rewritten ALTER n TYPE bigint;"
        f"DELETE FROM {stored} WHERE load = 'earlier';"
        f"UPDATE {stored} SET transaction = txid_current() + (1::int8 << 32)"
        "  WHERE load = 'aged'; TRUNCATE gone;"
        # As many rows have its numbers as it wrote, and one of them is of others.
        "DELETE FROM touched WHERE id = 1; INSERT INTO touched VALUES (8);"
        "DELETE FROM linked WHERE id = 1; INSERT INTO linked VALUES (8);"
        "DELETE FROM wards WHERE id = 99; INSERT INTO wards VALUES (8)"
    )
    problems = reset(databases, capsys, status=2)["problems"]
    said = {problem["where"]: problem["message"] for problem in problems}
    for name, reason in (
        ("upserted", "write: upsert"),
        ("restored", "the database was restored"),
        ("rewritten", "the table was rewritten"),
        ("touched", "triggers changed further rows"),
        ("linked", "triggers changed further rows"),
        ("held", "triggers changed further rows"),
        ("earlier", "an earlier version"),
        ("aged", "too many transactions"),
    ):
        assert reason in said.pop(f"table {name}")
    assert not said
    assert all("backup" in problem["remedy"] for problem in problems)
    for name in names:
        assert databases.target.row(f"SELECT count(*) FROM {name}")[0] == (
            {"gone": 0, "touched": 4, "linked": 4, "wards": 5}.get(name, 3)
        )

    # Where nothing was there before, emptying the table is a way out.
    tables = ["--table=plain", "--table=earlier", "--table=gone"]
    (problem,) = reset(databases, capsys, *tables, status=2)["problems"]
    (emptying,) = re.findall(r"(TRUNCATE [^;]*);", problem["remedy"])
    databases.target.run(emptying)
    assert reset(databases, capsys, *tables)["tables"] == {
        "earlier": {"removed": 0, "left": 3},
        "gone": {"removed": 0, "left": 3},
        "plain": {"removed": 0, "left": 3},
    }
    databases.migrate(specification)
    assert databases.target.row("SELECT count(*) FROM plain, earlier, gone") == (27,)


@pytest.mark.slow
def test_replayed_rows_and_those_found_by_halves_are_removed(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(WARDS_LEGACY)
    databases.target.run(WARDS_TARGET)
    databases.target.run("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    with as_role(databases) as by_role:
        by_role.migrate(WARDS)
        first = wards_content(databases)
        databases.legacy.run("UPDATE legacy_people SET name = 'Good' WHERE name = 'Bad'")
        assert replay(by_role, capsys)["tables"]["people"]["accepted"] == 9
        databases.legacy.run("UPDATE legacy_people SET name = 'Bad' WHERE name = 'Good'")
        reset(by_role, capsys)
        assert wards_content(databases) == WARDS_BEFORE
        by_role.migrate(WARDS)
        assert wards_content(databases) == first


@pytest.mark.slow
def test_a_replayed_hospital_is_reset_and_gives_the_same_result_again(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    fill(databases)
    databases.migrate(TABLES)
    databases.legacy.run(MENDED)
    replay(databases, capsys)
    replay(databases, capsys)
    replayed = content(databases)
    reset(databases, capsys)
    assert content(databases) == [[], [], []]
    databases.migrate(TABLES)
    assert content(databases) == replayed


@pytest.mark.slow
def test_a_reset_waits_for_no_run_and_has_changed_nothing_when_it_is_killed(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(WARDS_LEGACY)
    databases.target.run(WARDS_TARGET)
    databases.migrate(WARDS)
    written = wards_content(databases)
    databases.target.run(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN old; END $$;"
        "CREATE TRIGGER hold BEFORE DELETE ON migration.migration_loads"
        " FOR EACH ROW EXECUTE FUNCTION hold()"
    )
    with databases.target.another() as launcher:
        launcher.execute(
            "SELECT pg_advisory_lock(hashtextextended('transfuse/migration/moved', 0))"
        )
        (problem,) = reset(databases, capsys, status=2)["problems"]
        assert "is running already" in problem["message"]
    path = str(databases.write(WARDS))
    command = [sys.executable, "-m", "pipelines", "reset", path, "--yes"]
    with databases.target.another() as keeper:
        keeper.execute("SELECT pg_advisory_lock(4711)")
        with subprocess.Popen(
            command,
            cwd=PROJECT,
            env=os.environ | databases.variables,
            stderr=subprocess.PIPE,
        ) as process:
            wait_until(process, lambda: someone_waits(databases))
            kill(process, databases)
    assert wards_content(databases) == written
    assert databases.target.row("SELECT count(*) FROM migration.migration_jobs") == (1,)
    reset(databases, capsys)
    assert wards_content(databases) == WARDS_BEFORE
    assert_forgotten(databases)


@pytest.mark.slow
def test_foreign_keys_without_an_index_do_not_slow_a_reset_down(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_staff (id int PRIMARY KEY, boss int);"
        "INSERT INTO legacy_staff SELECT n, nullif(n / 2, 0) FROM generate_series(1, 20000) n"
    )
    databases.target.run(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff);"
        "CREATE TABLE notes (id int PRIMARY KEY, staff int REFERENCES staff DEFERRABLE"
        " INITIALLY DEFERRED)"
    )
    databases.migrate(
        "tables:\n"
        "  staff: {from: legacy_staff, key: [id], fields: {id: {from: id},"
        " boss: {from: boss, ref: staff, deferred: true}}}\n"
        "  notes: {from: legacy_staff, key: [id], fields: {id: {from: id},"
        " staff: {from: id, ref: staff}}}\n"
    )
    databases.target.run(
        "CREATE TABLE log (at serial, what text);"
        "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  IF tg_event = 'sql_drop' THEN INSERT INTO log (what)"
        "  SELECT 'dropped' FROM pg_event_trigger_dropped_objects() WHERE object_type = 'index';"
        "  ELSE INSERT INTO log (what) SELECT (SELECT indrelid::regclass::text FROM pg_index"
        "   WHERE indexrelid = objid) FROM pg_event_trigger_ddl_commands(); END IF; END $$;"
        "CREATE EVENT TRIGGER made ON ddl_command_end WHEN tag IN ('CREATE INDEX')"
        " EXECUTE FUNCTION note();"
        "CREATE EVENT TRIGGER dropped ON sql_drop WHEN tag IN ('DROP INDEX')"
        " EXECUTE FUNCTION note()"
    )
    assert reset(databases, capsys)["tables"]["staff"] == {"removed": 20000, "left": 0}
    # Rows that have just been deleted, as those of the notes, would be read each time as well.
    made = databases.target.values("SELECT what FROM log ORDER BY at")
    assert sorted(made[:2]) == ["notes", "staff"]
    assert made[2:] == ["dropped", "dropped"]
    assert not databases.target.rows("SELECT FROM pg_class WHERE relname LIKE 'transfuse_reset%'")
