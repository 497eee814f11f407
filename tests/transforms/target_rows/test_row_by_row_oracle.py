"""Any batch ends as if its candidates had been inserted one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from schemas.catalog import Relation
from schemas.catalog_reader import read_relation
from schemas.specification.policies import WriteMode
from tests.support.direct_calls.target_batches import arrow_type
from transforms.target_rows.target_errors import TargetError
from transforms.target_rows.write import TargetWriter, WriteOutcome

_DDL = """
CREATE TABLE parents (id int PRIMARY KEY);
INSERT INTO parents VALUES (1), (2);
CREATE DOMAIN small AS int CONSTRAINT is_small CHECK (VALUE < 9);
CREATE TABLE t (
    id int CONSTRAINT t_key PRIMARY KEY,
    mrn text CONSTRAINT t_mrn UNIQUE,
    parent int CONSTRAINT t_parent REFERENCES parents {deferred},
    age small NOT NULL CONSTRAINT t_age CHECK (age > 0) CONSTRAINT t_odd CHECK (10 / (age - 5) < 9),
    code varchar(3),
    stay int4range,
    token uuid,
    CONSTRAINT t_stay EXCLUDE USING gist (stay WITH &&) {deferred},
    CONSTRAINT t_pair CHECK (code <> 'abc' OR id < 3)
);
INSERT INTO t VALUES (0, 'zero', 1, 1, 'old', '[90,99)', NULL);
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.code = 'no' THEN RAISE 'no'; END IF;
    IF NEW.code = 'own' THEN RAISE 'no' USING ERRCODE = 'HC001'; END IF;
    IF NEW.code = 'fix' THEN NEW.age := 1; END IF;
    RETURN NEW;
END $$;
{trigger}
"""
_TRIGGERS = {
    "none": "",
    "before": "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION judge();",
    "after": "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION judge();",
    "deferred": "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION judge();",
}
_COLUMNS = ["id", "mrn", "parent", "age", "code", "stay", "token"]

# Mostly good values, so that candidates of several rows have a chance.
_row = st.tuples(
    st.sampled_from([*range(30)] * 3 + [None]),
    st.sampled_from([None] * 6 + ["zero", "a", "b"]),
    st.sampled_from([None] * 4 + [1, 2, 3]),
    st.sampled_from([1] * 9 + [2, None, 0, 5, 9]),
    st.sampled_from([None] * 8 + ["ab", "abc", "abcd", "no", "own", "fix", "gon"]),
    st.sampled_from([None] * 8 + ["[1,3)", "[2,5)", "[95,97)", "empty", "[3,1)"]),
    st.sampled_from([None] * 9 + ["11111111-1111-1111-1111-111111111111", "?"]),
)
_batch = st.lists(st.tuples(st.integers(0, 25), _row), min_size=1, max_size=40)
Rows = list[tuple[int, tuple[Any, ...]]]


@pytest.fixture(params=_TRIGGERS)
def table(connection: psycopg.Connection, request: pytest.FixtureRequest) -> Relation:
    deferred = "DEFERRABLE INITIALLY DEFERRED" if request.param == "deferred" else ""
    connection.execute(_DDL.format(deferred=deferred, trigger=_TRIGGERS[request.param]))
    found = read_relation(connection, "t")
    assert found is not None
    return found


def _unread(values: tuple[Any, ...]) -> bool:
    """Whether a column's type alone refuses its value."""
    _, _, _, age, code, stay, token = values
    return bool(age == 9 or code == "abcd" or stay == "[3,1)" or token == "?")


@pytest.fixture(params=["LANGUAGE plpgsql", "DATABASE"])
def halved_table(connection: psycopg.Connection, request: pytest.FixtureRequest) -> Relation:
    """The table as a role sees it that may not use PL/pgSQL or make temporary tables."""
    connection.execute(_DDL.format(deferred="", trigger=_TRIGGERS["after"]))
    connection.execute("CREATE ROLE writer; GRANT ALL ON t, parents TO writer")
    if request.param == "DATABASE":
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
    else:
        connection.execute("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    connection.execute("SET ROLE writer")
    found = read_relation(connection, "t")
    assert found is not None
    return found


class _TakenBack(Exception):
    pass


@contextlib.contextmanager
def _taken_back(connection: psycopg.Connection) -> Iterator[None]:
    with contextlib.suppress(_TakenBack), connection.transaction():
        yield
        raise _TakenBack


def _content(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT t::text FROM t ORDER BY id, t::text").fetchall()


def _one_by_one(
    connection: psycopg.Connection, rows: Rows, statement: str
) -> dict[int, list[TargetError]]:
    """Inserts candidate by candidate; of those refused each row's reason."""
    refused: dict[int, list[TargetError]] = {}
    for ordinal, members in groupby(rows, key=lambda row: row[0]):
        with contextlib.suppress(_TakenBack), connection.transaction():
            causes = [_refusal(connection, statement, values) for _, values in members]
            if any(causes):
                refused[ordinal] = [cause for cause in causes if cause]
                raise _TakenBack
    return refused


def _refusal(
    connection: psycopg.Connection, statement: str, values: tuple[Any, ...]
) -> TargetError | None:
    try:
        with connection.transaction():
            connection.execute(statement, values)
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        return TargetError.of(error)
    return None


def _written(
    connection: psycopg.Connection, table: Relation, rows: Rows, mode: WriteMode
) -> WriteOutcome:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([ordinal for ordinal, _ in rows], pa.int32())]
        + [
            pa.array([values[i] for _, values in rows], arrow_type(table, name))
            for i, name in enumerate(_COLUMNS)
        ],
        names=["_ordinal", *_COLUMNS],
    )
    return TargetWriter(table, _COLUMNS, ["id"], mode).write(connection, batch)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=_batch)
def test_inserting_agrees_with_inserting_row_by_row(
    connection: psycopg.Connection, table: Relation, rows: Rows
) -> None:
    outcome, expected = _compare_inserting(connection, table, rows)
    found: dict[int, set[tuple[str, str]]] = {}
    for violation in outcome.refused.to_pylist():
        code, reason = violation["code"], violation["reason"]
        found.setdefault(violation["_ordinal"], set()).add((code, reason))
    for ordinal, causes in expected.items():
        codes = {cause.violation({}).code.value for cause in causes}
        # The server names one cause of a row, and checks before it looks for the key.
        assert codes & {code for code, _ in found[ordinal]} or (
            ("DATA-004", "existing_key") in found[ordinal]
        ), (ordinal, codes, found[ordinal])


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=_batch)
def test_inserting_by_halves_agrees_with_inserting_row_by_row(
    connection: psycopg.Connection, halved_table: Relation, rows: Rows
) -> None:
    _compare_inserting(connection, halved_table, rows)


def _compare_inserting(
    connection: psycopg.Connection, table: Relation, rows: Rows
) -> tuple[WriteOutcome, dict[int, list[TargetError]]]:
    ordered = sorted(rows, key=lambda row: row[0])
    with _taken_back(connection):
        expected = _one_by_one(
            connection, ordered, "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, %s)"
        )
        content = _content(connection)
    with _taken_back(connection):
        outcome = _written(connection, table, rows, WriteMode.INSERT)
        assert _content(connection) == content
    assert set(outcome.refused.column("_ordinal").to_pylist()) == expected.keys()
    assert outcome.written == outcome.inserted == len(content) - 1
    return outcome, expected


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=_batch)
def test_skipping_existing_keys_agrees_with_doing_so_row_by_row(
    connection: psycopg.Connection, table: Relation, rows: Rows
) -> None:
    candidates: dict[int, Rows] = {}
    for row in sorted(rows, key=lambda row: row[0]):
        candidates.setdefault(row[0], []).append(row)
    statement = "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, %s)"
    existing, refused = set(), set()
    with _taken_back(connection):
        for ordinal, members in candidates.items():
            keys = [values[0] for _, values in members]
            stands = connection.execute("SELECT 1 FROM t WHERE id = ANY (%s::int[])", [keys])
            if stands.fetchone() is not None:
                existing.add(ordinal)
            elif _one_by_one(connection, members, statement):
                refused.add(ordinal)
        content = _content(connection)
    with _taken_back(connection):
        outcome = _written(connection, table, rows, WriteMode.SKIP_EXISTING)
        assert _content(connection) == content
    found = set(outcome.refused.column("_ordinal").to_pylist())
    left_out = set(outcome.existing.to_pylist())
    assert found.isdisjoint(left_out)
    assert found | left_out == refused | existing
    assert left_out <= existing
    # What is wrong with a row is told although its key exists only where its value can't be
    # read, so not compared either, or where the key is one of this very batch.
    for ordinal in found - refused:
        members = candidates[ordinal]
        assert any(_unread(v) for _, v in members) or all(v[0] != 0 for _, v in members)
    assert outcome.written == len(content) - 1


# Deferred, a later row may mend what an earlier one breaks, by updating the row in its way.
@pytest.mark.parametrize("table", ["none", "before", "after"], indirect=True)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=_batch)
def test_an_upsert_agrees_with_doing_so_row_by_row(
    connection: psycopg.Connection, table: Relation, rows: Rows
) -> None:
    # A key twice in one batch is refused by an upsert, which row by row it wouldn't be.
    rows = list({values[0]: (ordinal, values) for ordinal, values in rows}.values())
    ordered = sorted(rows, key=lambda row: row[0])
    updates = ", ".join(f"{c} = EXCLUDED.{c}" for c in _COLUMNS if c != "id")
    with _taken_back(connection):
        connection.execute("INSERT INTO t SELECT i, 'old ' || i, 1, 1 FROM generate_series(1, 9) i")
        with _taken_back(connection):
            expected = _one_by_one(
                connection,
                ordered,
                "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, %s)"
                f" ON CONFLICT (id) DO UPDATE SET {updates}",
            )
            content = _content(connection)
        outcome = _written(connection, table, rows, WriteMode.UPSERT)
        assert _content(connection) == content
    assert set(outcome.refused.column("_ordinal").to_pylist()) == expected.keys()
    written = [values[0] for ordinal, values in rows if ordinal not in expected]
    assert outcome.written == len(written)
    assert outcome.inserted == len([key for key in written if key > 9])
