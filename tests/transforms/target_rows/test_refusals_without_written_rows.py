"""Batches of which the target takes nothing: rows are to blame, or what concerns all of them."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from schemas.catalog_reader import read_relation
from schemas.specification.policies import WriteMode
from tests.support.direct_calls.target_batches import batch_of
from transforms.target_rows.write import TargetWriter, WriteOutcome

Load = Callable[..., WriteOutcome]


def _function(name: str, body: str, returns: str = "trigger") -> str:
    return f"CREATE FUNCTION {name} RETURNS {returns} LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"


def _count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_a_row_that_only_the_trial_writes_fails_the_batch(
    connection: psycopg.Connection, load: Load
) -> None:
    raises = "IF nextval('tries') <= 4 THEN RAISE SQLSTATE '55000'; END IF; RETURN NEW;"
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY); CREATE SEQUENCE tries;"
        + _function("f()", raises)
        + "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        load("t", ["a"], [(0, 1)])
    assert _count(connection, "tries WHERE last_value = 5") == 1
    assert _count(connection, "t") == 0


@pytest.mark.parametrize("mode", WriteMode)
def test_trials_leave_nothing_of_statement_triggers(
    connection: psycopg.Connection, mode: WriteMode
) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE audit (a int);"
        + _function("f()", "RAISE SQLSTATE '55000';")
        + _function("s()", "INSERT INTO audit VALUES (1); RETURN NULL;")
        + "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE TRIGGER h BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION s()"
    )
    table = read_relation(connection, "t")
    assert table is not None
    writer = TargetWriter(table, ["a"], ["a"], mode, proof=lambda *_: True)
    outcome = writer.write(connection, batch_of(table, ["a"], [(0, 1)]))
    assert (outcome.written, outcome.refused.num_rows) == (0, 1)
    assert _count(connection, "t") == 0
    assert _count(connection, "audit") == 0


@pytest.mark.parametrize("mode", WriteMode)
@pytest.mark.parametrize("tracing", ["GRANT", "REVOKE"])
@pytest.mark.parametrize(
    ("body", "state"),
    [("RETURN true;", "42501"), ("PERFORM FROM lacking; RETURN true;", "42P01")],
    ids=["right", "table"],
)
def test_a_domain_that_can_check_no_value_fails_the_batch(
    connection: psycopg.Connection,
    load: Load,
    mode: WriteMode,
    tracing: str,
    body: str,
    state: str,
) -> None:
    connection.execute(
        "CREATE ROLE writer;"
        + _function("f(v int)", body, "bool")
        + "CREATE DOMAIN checked AS int CHECK (f(VALUE));"
        "CREATE TABLE t (a int PRIMARY KEY, b checked); GRANT ALL ON t TO writer"
    )
    if state == "42501":
        connection.execute("REVOKE EXECUTE ON FUNCTION f FROM PUBLIC")
    if tracing == "REVOKE":
        connection.execute("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    connection.execute("SET ROLE writer")
    with pytest.raises(psycopg.errors.lookup(state)) as raised:
        load("t", ["a", "b"], [(0, 1, 1), (1, 2, 2)], ["a"], mode)
    assert raised.value.diag.message_primary


@pytest.mark.parametrize("mode", WriteMode)
def test_a_value_that_a_domain_cannot_check_is_refused_alone(
    connection: psycopg.Connection, load: Load, mode: WriteMode
) -> None:
    connection.execute(
        _function("f(v int)", "IF v = 2 THEN RAISE SQLSTATE '55000'; END IF; RETURN true;", "bool")
        + "CREATE DOMAIN checked AS int CHECK (f(VALUE)); CREATE TABLE t (a int UNIQUE, b checked)"
    )
    outcome = load("t", ["a", "b"], [(0, 1, 1), (1, 2, 2)], ["a"], mode)
    assert (outcome.written, outcome.refused.column("_ordinal").to_pylist()) == (1, [1])


@pytest.mark.parametrize("mode", WriteMode)
def test_a_trigger_of_the_statement_fails_the_batch(
    connection: psycopg.Connection, load: Load, mode: WriteMode
) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY);"
        + _function("f()", "RAISE 'closed';")
        + "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION f()"
    )
    with pytest.raises(psycopg.errors.RaiseException):
        load("t", ["a"], [(0, 1), (1, 2)], ["a"], mode)


@pytest.mark.parametrize("mode", WriteMode)
def test_a_trigger_that_objects_to_statements_without_rows_is_about_no_batch(
    connection: psycopg.Connection, load: Load, mode: WriteMode
) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY CHECK (a > 0));"
        + _function("f()", "IF NOT EXISTS (TABLE new) THEN RAISE 'none'; END IF; RETURN NULL;")
        + "CREATE TRIGGER g AFTER INSERT ON t REFERENCING NEW TABLE AS new"
        " FOR EACH STATEMENT EXECUTE FUNCTION f()"
    )
    outcome = load("t", ["a"], [(0, -1), (1, -2)], ["a"], mode)
    assert outcome.refused.column("reason").to_pylist() == ["check_violation"] * 2


def test_an_existing_row_does_not_show_that_others_pass(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1);"
        + _function("f()", "RAISE SQLSTATE '42501';")
        + "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        load("t", ["a"], [(0, 1), (1, 2), (2, 3)], ["a"], WriteMode.SKIP_EXISTING)


def test_written_rows_show_that_those_with_repeated_keys_could_pass(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute(
        "CREATE TABLE t (a int);"
        + _function("f()", "IF NEW.a = 2 THEN RAISE SQLSTATE '55000'; END IF; RETURN NEW;")
        + "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    rows = [(0, 1), (1, 2), (2, 2), (3, 2)]
    outcome = load("t", ["a"], rows, ["a"], WriteMode.SKIP_EXISTING)
    assert (outcome.written, outcome.refused.column("_ordinal").to_pylist()) == (1, [1, 2, 3])


@pytest.mark.parametrize("mode", [WriteMode.INSERT, WriteMode.UPSERT])
def test_a_shortage_of_memory_is_a_large_rows_fault_only(
    connection: psycopg.Connection, load: Load, mode: WriteMode
) -> None:
    # More locks than the server's shared memory has room for.
    shortage = "PERFORM pg_advisory_xact_lock(i) FROM generate_series(1, 100000) i;"
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY, b text);"
        + _function("f()", f"IF NEW.a = 2 THEN {shortage} END IF; RETURN NEW;")
        + "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    with pytest.raises(psycopg.errors.OutOfMemory), connection.transaction():
        load("t", ["a", "b"], [(0, 1, "x"), (1, 2, "x")], ["a"], mode)
    outcome = load("t", ["a", "b"], [(0, 1, "x"), (1, 2, "x" * 1_100_000)], ["a"], mode)
    assert (outcome.written, outcome.refused.column("_ordinal").to_pylist()) == (1, [1])
