"""Writing batches that the target takes: counts, modes, names, the caller's transaction."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from psycopg import sql
from psycopg.pq import TransactionStatus

from schemas.catalog_reader import read_relation
from schemas.specification.policies import WriteMode
from schemas.violations import VIOLATION_SCHEMA
from transforms.postgres.database_problems import describe_error
from transforms.target_rows.write import TargetWriter, WriteOutcome

Load = Callable[..., WriteOutcome]


def _all(connection: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def _counts(outcome: WriteOutcome) -> tuple[int, int, int, list[int]]:
    refused = outcome.refused.num_rows
    return outcome.written, outcome.inserted, refused, outcome.existing.to_pylist()


@pytest.mark.parametrize("mode", WriteMode)
def test_an_empty_batch_writes_nothing_and_asks_nothing(
    connection: psycopg.Connection, mode: WriteMode
) -> None:
    connection.execute("CREATE TABLE t (a int PRIMARY KEY)")
    table = read_relation(connection, "t")
    assert table is not None
    connection.close()
    empty = pa.record_batch([pa.array([], pa.int32())] * 2, names=["_ordinal", "a"])
    outcome = TargetWriter(table, ["a"], ["a"], mode).write(connection, empty)
    assert _counts(outcome) == (0, 0, 0, [])
    assert outcome.refused.schema == VIOLATION_SCHEMA
    assert outcome.existing.type == pa.int32()


def test_a_batch_of_several_blocks_and_any_slice_of_it_arrives_whole(
    connection: psycopg.Connection,
) -> None:
    connection.execute("CREATE TABLE t (a int PRIMARY KEY, b text, c date, d bool)")
    table = read_relation(connection, "t")
    assert table is not None
    count = 40_000
    whole = pa.record_batch(
        [
            pa.array(range(count), pa.int32()),
            pa.array(range(count), pa.int32()),
            pa.array([None if i % 7 == 0 else str(i) for i in range(count)]),
            pa.array([None if i % 5 == 0 else i for i in range(count)], pa.int32()).view(
                pa.date32()
            ),
            pa.array([None if i % 3 == 0 else i % 2 == 0 for i in range(count)]),
        ],
        names=["_ordinal", "a", "b", "c", "d"],
    )
    writer = TargetWriter(table, ["a", "b", "c", "d"], ["a"], WriteMode.INSERT)
    assert writer.write(connection, whole.slice(13, 20_001)).written == 20_001
    assert writer.write(connection, whole.slice(0, 13)).written == 13
    assert writer.write(connection, whole.slice(20_014)).written == count - 20_014
    assert connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE b IS DISTINCT FROM CASE WHEN a % 7 <> 0"
        " THEN a::text END OR c IS DISTINCT FROM CASE WHEN a % 5 <> 0"
        " THEN date '1970-01-01' + a END OR d IS DISTINCT FROM CASE WHEN a % 3 <> 0"
        " THEN a % 2 = 0 END) FROM t"
    ).fetchone() == (count, 0)


def test_other_columns_get_their_defaults_and_identity_takes_what_is_given(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int CHECK (a > 0),"
        " twice int GENERATED ALWAYS AS (a * 2) STORED, site text DEFAULT 'main')"
    )
    assert load("t", ["id", "a"], [(0, 70, 1)]).written == 1
    # By way of the stage, which inserts with a SELECT.
    outcome = load("t", ["id", "a"], [(0, 80, 2), (1, 81, -1)])
    assert _counts(outcome) == (1, 1, 1, [])
    assert load("t", ["id", "a"], [(0, 80, 3), (1, 90, 4)], ["id"], WriteMode.UPSERT).inserted == 1
    assert _all(connection, "t") == [
        (70, 1, 2, "main"),
        (80, 3, 6, "main"),
        (90, 4, 8, "main"),
    ]


# Odd names, and those that our own statements use for themselves.
_NAMES = [
    "Mixed Case", 'a "quoted" one', "select", "%s {0} %(x)s", "Ärzte", "tracing", "candidate",
    "part", "place", "causes", "wrote", "fresh", "written", "inserted", "state", "rule", "field",
    "whole", "ordinal", "sqlstate", "value", "number", "target", "staged", "holds", "t", "late",
    "low", "high", "constraint_name", "column_name", "transfuse_rows", "found", "seen", "before",
]  # fmt: skip


@pytest.mark.parametrize("mode", WriteMode)
@pytest.mark.parametrize("trigger", [False, True])
def test_odd_names_and_names_of_our_own_are_only_names(
    connection: psycopg.Connection, mode: WriteMode, trigger: bool
) -> None:
    schema, name, function = 'O d"d', 'T "x" %s', "f"
    table = sql.Identifier(schema, name)
    connection.execute(
        sql.SQL(
            "CREATE SCHEMA {schema}; CREATE TABLE {table} ({columns}, CHECK ({second} > '0'));"
            "CREATE UNIQUE INDEX ON {table} ({first})"
        ).format(
            schema=sql.Identifier(schema),
            table=table,
            columns=sql.SQL(", ").join(
                [sql.SQL("{} varchar(4)").format(sql.Identifier(n)) for n in _NAMES]
            ),
            first=sql.Identifier(_NAMES[0]),
            second=sql.Identifier(_NAMES[1]),
        )
    )
    if trigger:
        connection.execute(
            sql.SQL(
                "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN IF NEW.candidate = ''3'' THEN RAISE ''no''; END IF; RETURN NEW; END';"
                "CREATE TRIGGER g BEFORE INSERT ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION {function}()"
            ).format(function=sql.Identifier(schema, function), table=table)
        )
    connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
    relation = read_relation(connection, name)
    assert relation is not None
    values = pa.array(["1", "2", "3", "0", "12345", "5"])
    batch = pa.record_batch(
        [pa.array(range(6), pa.int32())] + [values] * len(_NAMES), names=["_ordinal", *_NAMES]
    )
    outcome = TargetWriter(relation, _NAMES, _NAMES[:1], mode).write(connection, batch)
    refused = set(outcome.refused.column("_ordinal").to_pylist())
    assert refused == ({2, 3, 4} if trigger else {3, 4})
    assert (outcome.written, outcome.inserted) == (6 - len(refused), 6 - len(refused))
    too_long = outcome.refused.filter(pc.equal(outcome.refused.column("_ordinal"), 4))
    assert set(too_long.column("field").to_pylist()) == set(_NAMES)
    written = connection.execute(
        sql.SQL("SELECT {} FROM {} ORDER BY 1").format(sql.Identifier(_NAMES[-1]), table)
    ).fetchall()
    assert [w for (w,) in written] == (["1", "2", "5"] if trigger else ["1", "2", "3", "5"])


@pytest.mark.parametrize("mode", WriteMode)
@pytest.mark.parametrize("bad", [[], [(30, 101)]], ids=["only dropped", "refused too"])
def test_rows_that_a_trigger_drops_are_refused(
    connection: psycopg.Connection, load: Load, mode: WriteMode, bad: list[tuple[int, int]]
) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY CHECK (a < 100)); CREATE TABLE elsewhere (a int);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.a % 2 = 0 THEN INSERT INTO elsewhere VALUES (NEW.a); RETURN NULL; END IF;"
        " RETURN NEW; END';"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    outcome = load("t", ["a"], [(i, i) for i in range(25)] + bad, ["a"], mode)
    assert _counts(outcome) == (12, 12, 13 + len(bad), [])
    dropped = outcome.refused.filter(pc.equal(outcome.refused["reason"], "dropped_by_target"))
    assert dropped.column("_ordinal").to_pylist() == [*range(0, 25, 2)]
    assert _all(connection, "t") == [(a,) for a in range(1, 25, 2)]
    # A row that is refused leaves nothing behind.
    assert _all(connection, "elsewhere") == []


def test_a_candidate_of_which_one_row_is_dropped_is_refused_whole(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute(
        "CREATE TABLE t (a int);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.a = 3) EXECUTE FUNCTION f()"
    )
    outcome = load("t", ["a"], [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)])
    assert outcome.refused.column("_ordinal").to_pylist() == [1]
    assert _all(connection, "t") == [(1,), (2,), (5,)]


@pytest.mark.parametrize("mode", WriteMode)
def test_a_table_with_as_many_columns_as_can_be(
    connection: psycopg.Connection, load: Load, mode: WriteMode
) -> None:
    names = [f"c{i}" for i in range(1600)]
    connection.execute(
        f"CREATE TABLE t ({', '.join(f'{n} int' for n in names)}, PRIMARY KEY (c0, c1599),"
        " CHECK (c1 <> 3), CHECK (c1598 <> 4)); INSERT INTO t (c0, c1599) VALUES (1, 1);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';"
        "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW WHEN (NEW.c1597 = 5)"
        " EXECUTE FUNCTION f()"
    )
    outcome = load("t", names, [(i, *[i] * 1600) for i in range(9)], ["c0", "c1599"], mode)
    refused = {3, 4, 5} | ({1} if mode is WriteMode.INSERT else set())
    assert set(outcome.refused.column("_ordinal").to_pylist()) == refused
    assert outcome.existing.to_pylist() == ([1] if mode is WriteMode.SKIP_EXISTING else [])
    assert connection.execute(
        "SELECT array_agg(c0 ORDER BY c0), bool_and(c1598 = c0) FROM t WHERE c0 <> 1"
    ).fetchone() == ([0, 2, 6, 7, 8], True)


@pytest.mark.parametrize("unique", ["PRIMARY KEY", "", "UNIQUE DEFERRABLE INITIALLY DEFERRED"])
def test_existing_keys_are_left_out(
    connection: psycopg.Connection, load: Load, unique: str
) -> None:
    connection.execute(f"CREATE TABLE t (a int {unique}, b text)")
    connection.execute("INSERT INTO t VALUES (1, 'old'), (3, 'old')")
    rows = [(i, i, "new") for i in range(5)]
    outcome = load("t", ["a", "b"], rows, ["a"], WriteMode.SKIP_EXISTING)
    assert _counts(outcome) == (3, 3, 0, [1, 3])
    assert _all(connection, "t") == [
        (0, "new"), (1, "old"), (2, "new"), (3, "old"), (4, "new")
    ]  # fmt: skip


@pytest.mark.parametrize("unique", ["PRIMARY KEY", ""])
def test_a_key_repeated_in_the_batch_exists_for_its_later_candidates(
    connection: psycopg.Connection, load: Load, unique: str
) -> None:
    connection.execute(f"CREATE TABLE t (a int {unique}, b int CHECK (b > 0))")
    # The first candidate of key 1 is refused, so that its key is still free for the second.
    rows = [(0, 1, -1), (1, 1, 11), (2, 1, 12), (3, 2, 21), (4, 2, 22), (5, 3, 31)]
    outcome = load("t", ["a", "b"], rows, ["a"], WriteMode.SKIP_EXISTING)
    assert outcome.refused.column("_ordinal").to_pylist() == [0]
    assert (outcome.written, outcome.existing.to_pylist()) == (3, [2, 4])
    assert _all(connection, "t") == [(1, 11), (2, 21), (3, 31)]


def test_a_candidate_is_left_out_whole_if_one_of_its_keys_exists(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute("CREATE TABLE t (a int, n int, PRIMARY KEY (a, n))")
    connection.execute("INSERT INTO t VALUES (1, 2)")
    rows = [(0, 1, 1), (0, 1, 2), (1, 2, 1), (1, 2, 2)]
    outcome = load("t", ["a", "n"], rows, ["a", "n"], WriteMode.SKIP_EXISTING)
    assert _counts(outcome) == (2, 2, 0, [0])
    assert _all(connection, "t") == [(1, 2), (2, 1), (2, 2)]


def test_a_key_twice_in_one_candidate_does_not_exist(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute("CREATE TABLE t (a int CONSTRAINT once PRIMARY KEY)")
    rows = [(0, 1), (0, 1), (1, 2), (2, 2), (2, 3)]
    outcome = load("t", ["a"], rows, ["a"], WriteMode.SKIP_EXISTING)
    assert outcome.refused.select(["_ordinal", "rule"]).to_pylist() == [
        {"_ordinal": 0, "rule": "once"}
    ]
    assert (outcome.written, outcome.existing.to_pylist()) == (1, [2])
    assert _all(connection, "t") == [(2,)]


def test_a_missing_key_never_exists(connection: psycopg.Connection, load: Load) -> None:
    connection.execute("CREATE TABLE t (a int UNIQUE, b int)")
    connection.execute("INSERT INTO t VALUES (NULL, 0)")
    rows = [(0, None, 1), (1, None, 2)]
    outcome = load("t", ["a", "b"], rows, ["a"], WriteMode.SKIP_EXISTING)
    assert _counts(outcome) == (2, 2, 0, [])


@pytest.mark.parametrize("partitioned", ["", "PARTITION BY RANGE (a)"])
def test_an_upsert_tells_new_rows_from_updates(
    connection: psycopg.Connection, load: Load, partitioned: str
) -> None:
    connection.execute(f"CREATE TABLE t (a int, b text, c int, PRIMARY KEY (a)) {partitioned}")
    if partitioned:
        connection.execute("CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (2)")
        connection.execute("CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (2) TO (10)")
    connection.execute("INSERT INTO t VALUES (1, 'old', 7), (9, 'old', 8)")
    rows = [(i, i, f"new {i}") for i in range(4)]
    outcome = load("t", ["a", "b"], rows, ["a"], WriteMode.UPSERT)
    assert _counts(outcome) == (4, 3, 0, [])
    # Columns that aren't given keep what they have.
    assert _all(connection, "t") == [
        (0, "new 0", None), (1, "new 1", 7), (2, "new 2", None), (3, "new 3", None), (9, "old", 8)
    ]  # fmt: skip
    again = load("t", ["a"], [(0, 1), (1, 5)], ["a"], WriteMode.UPSERT)
    assert _counts(again) == (2, 1, 0, [])


def test_an_upsert_takes_one_row_of_a_key(connection: psycopg.Connection, load: Load) -> None:
    connection.execute("CREATE TABLE t (a int, b int, CONSTRAINT once UNIQUE (a))")
    rows = [(0, 1, 1), (1, 1, 2), (2, None, 3), (3, None, 4), (4, 5, 5), (4, 5, 6)]
    outcome = load("t", ["a", "b"], rows, ["a"], WriteMode.UPSERT)
    assert _all(connection, "t") == [(1, 1), (None, 3), (None, 4)]
    found = outcome.refused.select(["_ordinal", "code", "rule", "field", "reason"]).to_pylist()
    assert [tuple(f.values()) for f in found] == [
        (1, "DATA-004", "once", "a", "unique_violation"),
        (4, "DATA-004", "once", "a", "unique_violation"),
    ]


def test_rows_come_in_any_order_and_any_order_of_columns(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute("CREATE TABLE t (a int, b int UNIQUE)")
    outcome = load("t", ["b", "a"], [(9, 1, 9), (2, 1, 2), (5, 1, 5), (2, 3, 2)])
    assert outcome.refused.column("_ordinal").to_pylist() == [5, 9]
    assert _all(connection, "t") == [(2, 1), (2, 3)]


def test_the_transaction_stays_the_callers(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE t (a int CHECK (a > 0))")
    table = read_relation(connection, "t")
    assert table is not None
    # A worker may get it pickled.
    writer = pickle.loads(pickle.dumps(TargetWriter(table, ["a"], [], WriteMode.INSERT)))
    batch = pa.record_batch([pa.array([0, 1], pa.int32())] * 2, names=["_ordinal", "a"])
    # Twice, so that nothing of the stage is in the way of the next batch.
    assert [writer.write(connection, batch).written for _ in range(2)] == [1, 1]
    left = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()"
    ).fetchall()
    assert left == []
    assert connection.info.transaction_status == TransactionStatus.INTRANS
    connection.rollback()
    assert connection.execute("SELECT to_regclass('t')").fetchone() == (None,)


def test_a_connection_without_a_transaction_gets_one_or_is_turned_down(
    new_database: Callable[[], str],
) -> None:
    uri = new_database()
    with psycopg.connect(uri, autocommit=True) as committing, psycopg.connect(uri) as other:
        committing.execute("CREATE TABLE t (a int)")
        table = read_relation(committing, "t")
        assert table is not None
        writer = TargetWriter(table, ["a"], [], WriteMode.INSERT)
        batch = pa.record_batch([pa.array([1], pa.int32())] * 2, names=["_ordinal", "a"])
        with pytest.raises(ValueError, match="transaction"):
            writer.write(committing, batch)
        writer.write(other, batch)
        other.rollback()
        with committing.transaction():
            writer.write(committing, batch)
        assert _all(committing, "t") == [(1,)]


def test_text_is_never_written_under_another_encoding(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute("CREATE TABLE t (a text); SET client_encoding = LATIN1")
    with pytest.raises(ValueError, match="UTF8"):
        load("t", ["a"], [(0, "ä")])


@pytest.mark.parametrize("mode", WriteMode)
@pytest.mark.parametrize("state", ["42501", "40001", "55000", "57014", "XX000"])
def test_an_error_of_every_row_is_raised_as_it_is(
    connection: psycopg.Connection, load: Load, mode: WriteMode, state: str
) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        f" 'BEGIN IF NEW.a = 0 THEN RAISE ''row''; END IF; RAISE SQLSTATE ''{state}''; END';"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    # Also beside a row that is refused for a reason of its own.
    for rows in ([(1, 1), (2, 2)], [(0, 0), (1, 1), (2, 2)]):
        with pytest.raises(psycopg.errors.lookup(state)), connection.transaction():
            load("t", ["a"], rows, ["a"], mode)


@pytest.mark.parametrize("mode", WriteMode)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "row-level security of the table"),
        ("REVOKE INSERT ON t FROM writer", "a right is missing: permission denied for table t"),
        (
            "CREATE TABLE audit (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO audit VALUES (1); RETURN NEW; END';"
            "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
            "a right is missing: permission denied for table audit",
        ),
        ("ALTER TABLE t DROP b", "the database doesn't have what it is asked for"),
    ],
    ids=["row-level security", "right", "right of a trigger", "column"],
)
def test_the_cause_is_named_where_no_row_can_be_written(
    connection: psycopg.Connection, mode: WriteMode, change: str, message: str
) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE ROLE writer;"
        "GRANT SELECT, INSERT, UPDATE ON t TO writer"
    )
    table = read_relation(connection, "t")
    assert table is not None
    connection.execute(change)
    connection.execute("SET ROLE writer")
    ordinals = pa.array([0, 1], pa.int32())
    batch = pa.record_batch([ordinals] * 3, names=["_ordinal", "a", "b"])
    with pytest.raises(psycopg.Error) as raised:
        TargetWriter(table, ["a", "b"], ["a"], mode).write(connection, batch)
    assert message in describe_error(raised.value, "").message


def test_a_lock_of_another_session_is_no_rows_fault(new_database: Callable[[], str]) -> None:
    uri = new_database()
    with psycopg.connect(uri) as connection, psycopg.connect(uri) as other:
        connection.execute("CREATE TABLE t (a int PRIMARY KEY)")
        connection.commit()
        connection.execute("SET lock_timeout = '50ms'")
        other.execute("INSERT INTO t VALUES (2)")
        table = read_relation(connection, "t")
        assert table is not None
        ordinals = pa.array([0, 1, 2], pa.int32())
        batch = pa.record_batch([ordinals, ordinals], names=["_ordinal", "a"])
        for mode in (WriteMode.INSERT, WriteMode.UPSERT):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                TargetWriter(table, ["a"], ["a"], mode).write(connection, batch)


def test_a_batch_of_another_shape_is_turned_down(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE t (a bigint PRIMARY KEY, b text)")
    table = read_relation(connection, "t")
    assert table is not None
    writer = TargetWriter(table, ["a", "b"], ["a"], WriteMode.INSERT)
    ordinal = pa.array([0], pa.int32())
    partial = pa.record_batch([ordinal, pa.array([0], pa.int64())], names=["_ordinal", "a"])
    with pytest.raises(ValueError, match="no column 'b'"):
        writer.write(connection, partial)
    # pgpq would write its bytes as they are.
    narrow = pa.record_batch([ordinal, ordinal, pa.array(["x"])], names=["_ordinal", "a", "b"])
    with pytest.raises(ValueError, match="'a' is not int64"):
        writer.write(connection, narrow)
    with pytest.raises(ValueError, match="no column 'c'"):
        TargetWriter(table, ["a", "c"], [], WriteMode.INSERT)
    with pytest.raises(ValueError, match="needs a key"):
        TargetWriter(table, ["b"], ["a"], WriteMode.UPSERT)
