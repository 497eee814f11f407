from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.catalog_reader import read_query, read_relation
from schemas.column_types import parse_type
from transforms.keys.parent_keys import KeySet
from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.parent_fates import ParentFates
from transforms.ledger.parent_key_records import ParentKeyRecords
from transforms.references.parent_lookup import (
    FOUND,
    Bound,
    ask_target,
    comparable,
    compares_in_memory,
    fetch_parent_columns,
    read_key_pairs,
    read_keys,
)

FOREVER = {32: 2**31 - 1, 64: 2**63 - 1}


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def relation_of(connection: psycopg.Connection[Any], name: str) -> Relation:
    relation = read_relation(connection, name)
    assert relation is not None
    return relation


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["", " ", "NULL", "null", "{}", "{a,b}", "a,b", '"', '\\"', "\\", "\\N", "a\nb", "é", "e\u0301"]
)

# Type of the column, type of the values, and values of which every other one is a key.
KINDS: list[tuple[str, pa.DataType, list[Any]]] = [
    ("smallint", pa.int64(), [7, 2**40, -(2**15), -(2**63), 2**15 - 1, 2**63 - 1]),
    ("integer", pa.int64(), [7, 2**31, -(2**31), -(2**31) - 1, 2**31 - 1, 0]),
    ("bigint", pa.int32(), [7, 8, -(2**31), 9, 2**31 - 1, 0]),
    ("bigint", pa.int64(), [2**63 - 1, 2**63 - 2, -(2**63), 0, 1, 2]),
    ("boolean", pa.bool_(), [True, False]),
    ("real", pa.float32(), [0.1, 0.2, 1e30, -1e30, float("nan"), float("inf")]),
    ("double precision", pa.float64(), [0.1, 0.2, -1.5e-300, 1e308, float("-inf"), 5e-324]),
    ("double precision", pa.float32(), [0.5, 0.1, 0.25, 0.75]),
    ("text", pa.string(), ["", "x", "é", "e\u0301", "a\nb", "NULL", '"', "\\", "{", "x\x00"]),
    ("varchar(3)", pa.string(), ["abc", "abcd", "", "ab"]),
    ("char(4)", pa.string(), ["ab", "abcde", "", "b"]),
    ("name", pa.string(), ["a" * 63, "a" * 64, "b", "c"]),
    ("date", pa.date32(), [0, 1, 2**31 - 1, 5, -(2**31) + 1, 6, -800_000, -800_001, 10**8, 10**7]),
    (
        "timestamp",
        pa.timestamp("us"),
        [1, 0, 2**63 - 1, 5, -(2**63) + 1, 6, -(2**55) - 1, -(2**55), 2**62 + 1, 2**62],
    ),
    ("timestamptz", pa.timestamp("us", tz="UTC"), [-1, 0, 2**63 - 1, 5, -(2**55) - 1, -(2**55)]),
    ("uuid", pa.string(), [digit * 8 + ("-" + digit * 4) * 3 + "-" + digit * 12 for digit in "a0"]),
    ("numeric", pa.string(), ["1.5", "1.51", "-0.001", "0.001", "NaN", "12345678901234567890123"]),
    ("numeric(12,2)", pa.string(), ["1.50", "1.505", "-3.00", "0.30"]),
    ("numeric(12,2)", pa.int64(), [12, 13]),
    ("time", pa.string(), ["24:00:00", "00:00:00", "12:30:00.5", "12:30:00"]),
    ("bytea", pa.string(), ["\\x00ff", "\\x00"]),
    ("mood", pa.string(), ["happy", "sad"]),
    ('"Odd Mood"', pa.string(), ["un happy", "happy"]),
    ("bit(8)", pa.string(), ["10101010", "10000000"]),
    ("mrn", pa.string(), ["Abc", "abc", "none at all", "none"]),
]


def arrow(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_date(kind):
        return pa.array(values, pa.int32()).cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def stored(value: Any, kind: pa.DataType) -> str:
    """The value as SQL, by arithmetic of the server's own."""
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        last = FOREVER[kind.bit_width]
        if abs(value) == last:
            return "'infinity'" if value > 0 else "'-infinity'"
        if pa.types.is_date(kind):
            return f"date '1970-01-01' + {value}"
        return (
            f"timestamp '1970-01-01' + make_interval(days => {value // 86_400_000_000})"
            f" + make_interval(secs => {value % 86_400_000_000} / 1000000.0)"
        )
    return sql.Literal(str(value)).as_string()


@pytest.fixture
def typed(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    connection.execute("CREATE TYPE mood AS ENUM ('happy', 'sad')")
    connection.execute("""CREATE TYPE "Odd Mood" AS ENUM ('un happy', 'happy')""")
    connection.execute("CREATE DOMAIN mrn AS varchar(20) CHECK (value <> 'none')")
    return connection


def test_every_type_of_key_is_asked_for_as_the_server_compares_it(
    typed: psycopg.Connection[Any],
) -> None:
    for number, (spelled, kind, values) in enumerate(KINDS):
        for key in ("PRIMARY KEY", ""):
            table = f"parent_{number}_{len(key)}"
            typed.execute(f"CREATE TABLE {table} (id {spelled} {key}, born text)")
            for value in values[::2]:
                typed.execute(f"INSERT INTO {table} VALUES ({stored(value, kind)}, 'b')")
            relation = relation_of(typed, table)
            probes = arrow([*values, None, *values], kind)
            answer = [True, False] * (len(values) // 2)
            found = ask_target(typed, relation, "id", probes)
            assert found.to_pylist() == [*answer, None, *answer], (spelled, kind, key)
            fetched = fetch_parent_columns(typed, relation, ["id"], [probes], ["born"])
            assert fetched.column(FOUND).to_pylist() == found.to_pylist(), (spelled, kind, key)
            born = ["b" if there else None for there in found.to_pylist()]
            assert fetched.column("born").to_pylist() == born, (spelled, kind, key)


def test_an_index_in_memory_gives_the_same_answer_wherever_it_may_be_used(
    typed: psycopg.Connection[Any], database: str
) -> None:
    compared = 0
    for number, (spelled, kind, values) in enumerate(KINDS):
        child = parse_type(
            {"string": spelled, "int64": "bigint", "int32": "integer"}.get(str(kind), spelled)
        )
        if kind == pa.float32():
            child = parse_type("real")
        typed.execute(f"CREATE TABLE parent_{number} (id {spelled})")
        for value in values[::2]:
            typed.execute(f"INSERT INTO parent_{number} VALUES ({stored(value, kind)}), (NULL)")
        relation = relation_of(typed, f"parent_{number}")
        column = relation.columns[0]
        if not compares_in_memory(column, child):
            continue
        compared += 1
        keys = read_keys(database, relation, "id")
        assert keys.type == column.type.arrow
        assert keys.null_count == 0
        probes = comparable(arrow([*values, None], kind), column.type, child)
        answer = [True, False] * (len(values) // 2)
        assert KeySet.build(keys).contains(probes).to_pylist() == [*answer, None], spelled
    assert compared == 19


@pytest.mark.parametrize(
    ("parent", "child", "deterministic", "may"),
    [
        ("integer", "bigint", True, True),
        ("integer", "numeric", True, False),
        ("numeric(10,2)", "integer", True, True),
        ("numeric(10,2)", "numeric", True, True),
        ("text", "varchar(5)", True, True),
        ("text", "varchar(5)", False, False),
        ("citext", "citext", True, False),
        ("text", "citext", True, False),
        ("uuid", "uuid", True, True),
        ("uuid", "text", True, False),
        ("real", "double precision", True, True),
        ("date", "date", True, True),
        ("date", "timestamp", True, False),
        ("timestamp(3)", "timestamp", True, True),
        ("timestamp", "timestamptz", True, False),
        ("interval", "interval", True, False),
        ("mood", "mood", True, False),
        ("integer[]", "integer[]", True, False),
    ],
)
def test_what_may_be_compared_in_memory(
    parent: str, child: str, deterministic: bool, may: bool
) -> None:
    column = Column("id", parse_type(parent), collation_deterministic=deterministic)
    assert compares_in_memory(column, parse_type(child)) is may


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1.50", "1.5"),
        ("1.00", "1"),
        ("100", "100"),
        ("100.", "100"),
        ("+007.10", "7.1"),
        ("-0.0", "0"),
        ("-00", "0"),
        ("0", "0"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("-0.50", "-0.5"),
        ("0.0010", "0.001"),
        ("1e3", "1000"),
        ("-1.50E-2", "-0.015"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        (None, None),
    ],
)
def test_equal_numerics_have_one_text(text: str | None, plain: str | None) -> None:
    numeric = parse_type("numeric")
    assert comparable(pa.array([text, None]), numeric, numeric).to_pylist() == [plain, None]


def test_trailing_blanks_say_nothing_beside_bpchar() -> None:
    values = pa.array(["a ", " a", "\t ", None])
    for pair in (("char(3)", "text"), ("text", "char(3)")):
        parent, child = map(parse_type, pair)
        assert comparable(values, parent, child).to_pylist() == ["a", " a", "\t", None]
    text = parse_type("text")
    assert comparable(values, text, text).equals(values)


def test_text_is_asked_for_like_in_a_set(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE p (k text PRIMARY KEY)")
    relation = relation_of(connection, "p")

    @settings(deadline=None, max_examples=60)
    @given(st.sets(TEXTS.filter(lambda text: "\x00" not in text)), st.lists(TEXTS | st.none()))
    def check(keys: set[str], others: list[str | None]) -> None:
        probes = [*others, *keys, *others]
        with connection.transaction(force_rollback=True):
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO p VALUES (%s)", [(key,) for key in keys])
            found = ask_target(connection, relation, "k", pa.array(probes, pa.string()))
        assert found.to_pylist() == [None if p is None else p in keys for p in probes]

    check()


def test_parents_by_a_key_of_two_columns_are_fetched_like_from_a_dict(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute(
        "CREATE TABLE visits (no bigint, site text, beds integer, PRIMARY KEY (site, no))"
    )
    relation = relation_of(connection, "visits")
    keys = st.tuples(st.sampled_from(["", "a", "b", "a,b"]), st.integers(-2, 2))
    site = st.sampled_from(["", "a", "b", "c"]) | st.none()
    rows = st.lists(st.tuples(site, st.integers(-3, 3) | st.none()))

    @settings(deadline=None, max_examples=60)
    @given(st.dictionaries(keys, st.integers(0, 9) | st.none(), min_size=1), rows, st.data())
    def check(
        parents: dict[tuple[str, int], int | None],
        others: list[tuple[str | None, int | None]],
        data: st.DataObject,
    ) -> None:
        children = data.draw(st.permutations([*others, *parents, *parents]))
        with connection.transaction(force_rollback=True):
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO visits VALUES (%s, %s, %s)",
                    [(no, site, beds) for (site, no), beds in parents.items()],
                )
            fetched = fetch_parent_columns(
                connection,
                relation,
                ["site", "no"],
                [
                    pa.array([site for site, _ in children], pa.string()),
                    pa.array([no for _, no in children], pa.int64()),
                ],
                ["beds", "no"],
            )
        assert fetched.schema.names == ["beds", "no", FOUND]
        known: dict[Any, int | None] = dict(parents)
        assert fetched.column("beds").to_pylist() == [known.get(c) for c in children]
        assert fetched.column("no").to_pylist() == [c[1] if c in known else None for c in children]
        assert fetched.column(FOUND).to_pylist() == [
            None if None in c else c in known for c in children
        ]

    check()


def test_what_is_taken_comes_over_unchanged(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "CREATE TABLE p (id integer PRIMARY KEY, i2 int2, b bool, f4 real, f8 float8, c char(4),"
        " v varchar, n name, d date, t timestamp, z timestamptz, num numeric, iv interval,"
        " js jsonb, arr integer[])"
    )
    connection.execute(
        "INSERT INTO p VALUES (1, -1, true, 0.1, 'NaN', 'ab', '', 'n', 'infinity', '-infinity',"
        " 'infinity', 'NaN', '1 day', '{\"a\": 1}', '{{1,NULL}}'),"
        " (2, 2, false, '-Infinity', 5e-324, '', E'a\\nb', '', '0044-03-15 BC',"
        " '0044-03-15 12:00:00.000001 BC', '2024-03-31 01:30:00.123456+00', 1.50, '-1 mon',"
        " 'null', '{}'),"
        " (3, 3, false, 0, 0, 'x', 'x', 'x', '5874897-12-31', '200000-01-01 23:59:59.999999',"
        " '1900-01-01 00:00:00.000001+00', 0, '1 us', '[]', '{1}')"
    )
    connection.execute("INSERT INTO p (id) VALUES (4)")
    relation = relation_of(connection, "p")
    taken = [column.name for column in relation.columns]
    children = pa.array([3, 1, None, 2, 9, 4, 1], pa.int64())
    fetched = fetch_parent_columns(connection, relation, ["id"], [children], taken)
    for column in relation.columns:
        assert fetched.schema.field(column.name).type == column.type.arrow
    by_row = fetched.select(["i2", "b", "c", "v", "n", "num", "iv", "js", "arr"]).to_pylist()
    first, second = list(by_row[1].values()), list(by_row[3].values())
    assert first == [-1, True, "ab", "", "n", "NaN", "1 day", '{"a": 1}', "{{1,NULL}}"]
    assert second == [2, False, "", "a\nb", "", "1.50", "-1 mons", "null", "{}"]
    assert by_row[6] == by_row[1]
    assert set(by_row[2].values()) == set(by_row[4].values()) == set(by_row[5].values()) == {None}
    assert fetched.column("f4").combine_chunks()[1].equals(pa.scalar(0.1, pa.float32()))
    assert str(fetched.column("f8")[1]) == "nan"
    assert fetched.column("f8")[3].as_py() == 5e-324
    days = fetched.column("d").cast(pa.int32()).to_pylist()
    ides = int(np.datetime64("-0043-03-15", "D").astype(np.int64))
    last = int(np.datetime64("5874897-12-31", "D").astype(np.int64))
    assert days[:4] == [last, 2**31 - 1, None, ides]
    moments = fetched.column("t").cast(pa.int64()).to_pylist()
    last = int(np.datetime64("200000-01-01T23:59:59.999999", "us").astype(np.int64))
    assert moments[:4] == [last, -(2**63) + 1, None, (ides * 2 + 1) * 43_200_000_000 + 1]
    zoned = fetched.column("z").cast(pa.int64()).to_pylist()
    assert zoned[1] == 2**63 - 1
    assert zoned[3] == 1_711_848_600_123_456
    assert fetched.column("id").to_pylist() == [3, 1, None, 2, None, 4, 1]
    assert fetched.column(FOUND).to_pylist() == [True, True, None, True, False, True, True]
    # What was taken is asked for again and found: both directions are exact.
    for name in ("d", "t", "z", "f4", "f8", "num", "iv"):
        values = fetched.column(name).combine_chunks()
        assert ask_target(connection, relation, name, values).to_pylist() == [
            None if missing else True for missing in values.is_null().to_pylist()
        ], name


def test_the_session_s_zone_changes_nothing(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SET TimeZone = 'Europe/Berlin'")
    connection.execute("CREATE TABLE p (at timestamptz PRIMARY KEY)")
    connection.execute("INSERT INTO p VALUES ('2024-03-31 00:30Z'), ('2024-03-31 01:30Z')")
    relation = relation_of(connection, "p")
    moments = pa.array([1_711_845_000_000_000, 1_711_848_600_000_000, 1_711_841_400_000_000])
    values = moments.cast(pa.timestamp("us", tz="UTC"))
    fetched = fetch_parent_columns(connection, relation, ["at"], [values], ["at"])
    assert fetched.column("at").cast(pa.int64()).to_pylist() == [*moments.to_pylist()[:2], None]


def test_a_key_that_several_parents_share_is_no_key(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE p (id integer, born text)")
    connection.execute("INSERT INTO p VALUES (1, 'secret'), (1, 'b'), (2, 'c')")
    relation = relation_of(connection, "p")
    values = pa.array([2, 1, 3])
    assert ask_target(connection, relation, "id", values).to_pylist() == [True, True, False]
    with pytest.raises(ValueError, match=r"public\.p share a key \(id\)") as caught:
        fetch_parent_columns(connection, relation, ["id"], [values], ["born"])
    assert "secret" not in str(caught.value)
    fetched = fetch_parent_columns(connection, relation, ["id"], [pa.array([2, 3])], ["born"])
    assert fetched.column("born").to_pylist() == ["c", None]


def test_keys_of_two_columns_are_not_mixed_up(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE p (site text, no integer, PRIMARY KEY (no, site))")
    connection.execute("INSERT INTO p VALUES ('a', 1), ('b', 2)")
    relation = relation_of(connection, "p")
    sites, numbers = pa.array(["a", "a", "b", "b"]), pa.array([1, 2, 1, 2])
    fetched = fetch_parent_columns(connection, relation, ["site", "no"], [sites, numbers], ["no"])
    assert fetched.to_pydict() == {"no": [1, None, None, 2], FOUND: [True, False, False, True]}


def test_existence_alone_is_fetched_too(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE p (id integer PRIMARY KEY)")
    connection.execute("INSERT INTO p VALUES (1)")
    relation = relation_of(connection, "p")
    fetched = fetch_parent_columns(connection, relation, ["id"], [pa.array([1, 2])], [])
    assert fetched.to_pydict() == {FOUND: [True, False]}


def test_nothing_to_ask_needs_no_server(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE p (id integer PRIMARY KEY, born date)")
    relation = relation_of(connection, "p")
    connection.close()
    nothing = pa.nulls(3, pa.int64())
    assert ask_target(connection, relation, "id", nothing).to_pylist() == [None] * 3
    assert ask_target(connection, relation, "id", pa.nulls(2)).to_pylist() == [None] * 2
    assert ask_target(connection, relation, "id", nothing[:0]).to_pylist() == []
    fetched = fetch_parent_columns(connection, relation, ["id"], [nothing], ["born"])
    assert fetched.schema.types == [pa.date32(), pa.bool_()]
    assert fetched.column("born").null_count == 3
    texts = pa.array([None, "a\x00b"])
    skipped = ParentFates(LedgerSession(connection, "j", None)).find_skipped(
        ["l"], "source_key", texts
    )
    assert skipped.to_pylist() == [None, False]


def test_odd_names_and_queries_can_be_parents(
    connection: psycopg.Connection[Any], database: str
) -> None:
    connection.execute('CREATE TABLE "100% {Odd}" ("a%s" text PRIMARY KEY, ordinal text, k0 text)')
    connection.execute("""INSERT INTO "100% {Odd}" VALUES ('50%', 'first', 'zero')""")
    relation = relation_of(connection, "100% {Odd}")
    query = read_query(connection, """SELECT * FROM "100% {Odd}" WHERE "a%s" LIKE '5%'""")
    for parent in (relation, query):
        values = pa.array(["50%", "%s"])
        assert ask_target(connection, parent, "a%s", values).to_pylist() == [True, False]
        fetched = fetch_parent_columns(connection, parent, ["a%s"], [values], ["ordinal", "k0"])
        assert fetched.to_pylist()[0] == {"ordinal": "first", "k0": "zero", FOUND: True}
        assert read_keys(database, parent, "a%s").to_pylist() == ["50%"]
    with pytest.raises(ValueError, match="no column b"):
        ask_target(connection, relation, "b", pa.array(["x"]))


def test_values_without_a_form_on_the_server_are_refused(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute("CREATE TABLE p (id uuid PRIMARY KEY)")
    relation = relation_of(connection, "p")
    with pytest.raises(TypeError, match="time64"):
        ask_target(connection, relation, "id", pa.array([1], pa.time64("us")))
    with pytest.raises(psycopg.DataError):
        ask_target(connection, relation, "id", pa.array(["no uuid"]))


def test_an_integer_column_is_asked_with_decimal_text(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE p (id bigint PRIMARY KEY)")
    connection.execute("INSERT INTO p VALUES (5), (6)")
    values = pa.array(["5", "5.0", "5.5", "99999999999999999999", None])
    found = ask_target(connection, relation_of(connection, "p"), "id", values)
    assert found.to_pylist() == [True, True, False, False, None]


def test_a_batch_is_asked_through_the_index(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE p (id integer PRIMARY KEY)")
    connection.execute("INSERT INTO p SELECT generate_series(1, 50000)")
    relation = relation_of(connection, "p")

    def scans() -> Any:
        connection.execute("SELECT pg_stat_force_next_flush()")
        return connection.execute(
            "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'p'"
        ).fetchone()

    before = scans()
    found = ask_target(connection, relation, "id", pa.array(range(0, 100_000, 3), pa.int32()))
    assert found.to_pylist() == [0 < number <= 50_000 for number in range(0, 100_000, 3)]
    after = scans()
    assert after == (before[0], before[1] + len(found))


def test_the_bound_counts_what_others_hold() -> None:
    bound = Bound(8000)
    assert bound.fits(1000, "number")
    assert not bound.fits(1001, "number")
    assert not bound.fits(1000, "number", held=1)
    assert bound.fits(250, "text", width=20)
    assert not bound.fits(251, "text", width=20)
    assert bound.fits(100, "generated", width=32)
    assert not bound.fits(101, "generated", width=32)
    assert Bound().fits(20_000_000, "number")
    assert not Bound().fits(20_000_000, "text")


@pytest.mark.parametrize("kind", ["number", "text"])
def test_an_index_is_no_larger_than_the_bound_thought(kind: str) -> None:
    keys = pa.array([number * 1000 for number in range(10_000)])
    if kind == "text":
        keys = pa.array([f"MRN{number:013d}" for number in range(10_000)])
    size = KeySet.build(keys).nbytes
    assert Bound(size).fits(9_900, kind, width=16)  # type: ignore[arg-type]
    assert not Bound(size).fits(10_100, kind, width=16)  # type: ignore[arg-type]


@pytest.fixture
def control(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    connection.execute("CREATE SCHEMA migration")
    connection.execute(
        "CREATE TABLE migration.migration_keys (job_id text, load text, source_key text,"
        " target_key text, PRIMARY KEY (job_id, load, source_key))"
    )
    connection.execute(
        "CREATE TABLE migration.migration_skipped"
        " (job_id text, load text, source_key text, target_key text)"
    )
    connection.execute(
        "CREATE TABLE migration.migration_errors (id bigint PRIMARY KEY, job_id text,"
        " target_table text, target_key text, source_key text, warning boolean,"
        " referenced boolean DEFAULT true, rule_id text, status text DEFAULT 'open')"
    )
    return connection


def test_generated_keys_of_the_job_s_loads_are_read(
    control: psycopg.Connection[Any], database: str
) -> None:
    control.execute(
        "INSERT INTO migration.migration_keys VALUES ('it''s', 'a', 'x', '1'),"
        " ('it''s', 'b', 'x\\', '2'), ('it''s', 'c', 'y', '3'), ('other', 'a', 'z', '4')"
    )
    keys = ParentKeyRecords(LedgerSession(control, "it's", "migration"))
    sources, targets = read_key_pairs(database, keys.compose_pairs(["a", "b"], False))
    assert sources.type == targets.type == pa.string()
    pairs = sorted(zip(sources.to_pylist(), targets.to_pylist(), strict=True))
    assert pairs == [("x", "1"), ("x\\", "2")]
    assert len(read_key_pairs(database, keys.compose_pairs([], False))[0]) == 0


def test_generated_keys_of_a_batch_are_asked_for(control: psycopg.Connection[Any]) -> None:
    control.execute(
        "INSERT INTO migration.migration_keys VALUES ('j', 'a', 'x', '1'), ('j', 'b', 'x', '2'),"
        " ('j', 'a', 'y', '3'), ('j', 'b', 'y', '3'), ('j', 'c', 'z', '4'), ('k', 'a', 'w', '5'),"
        " ('j', 'a', 'v', '')"
    )
    values = pa.array(["y", "x", None, "z", "w", "v", "y", ""])
    records = ParentKeyRecords(LedgerSession(control, "j", "migration"))
    keys, several = records.look_up(["a", "b"], False, values)
    assert keys.to_pylist() == ["3", None, None, None, None, "", "3", None]
    assert several.to_pylist() == [False, True, None, False, False, False, False, False]


def test_the_cause_is_the_first_violation_that_rejected_the_parent(
    control: psycopg.Connection[Any],
) -> None:
    control.execute(
        "INSERT INTO migration.migration_errors VALUES"
        " (10, 'j', 'patients', '1', 's1', false), (9, 'j', 'patients', '1', 's1', false),"
        " (8, 'j', 'patients', '1', 's1', true), (3, 'j', 'visits', '1', 's1', false),"
        " (2, 'k', 'patients', '1', 's1', false), (5, 'j', 'patients', '2', 's2', true),"
        " (7, 'j', 'patients', NULL, 's3', false)"
    )
    asked: list[tuple[Literal["target_key", "source_key"], list[str | None]]] = [
        ("target_key", ["2", "1", None, "1", "s1"]),
        ("source_key", ["s3", "s2", "s1", None, "1"]),
    ]
    causes = [
        ParentFates(LedgerSession(control, "j", "migration")).find_causes(
            "patients", by, pa.array(values)
        )
        for by, values in asked
    ]
    assert [c.type for c in causes] == [pa.string()] * 2
    assert causes[0].to_pylist() == [None, "9", None, "9", None]
    assert causes[1].to_pylist() == ["7", None, "9", None, None]


def test_the_winner_is_the_cause_rather_than_its_duplicate(
    control: psycopg.Connection[Any],
) -> None:
    """A loser is rejected because of its winner, whichever was stored first."""
    control.execute(
        "INSERT INTO migration.migration_errors (id, job_id, target_table, target_key, rule_id,"
        " warning) VALUES (1, 'j', 't', 'k', 'key.duplicate', false),"
        " (2, 'j', 't', 'k', 'age.type', false), (3, 'j', 't', 'only', 'key.duplicate', false)"
    )
    fates = ParentFates(LedgerSession(control, "j", "migration"))
    causes = fates.find_causes("t", "target_key", pa.array(["k", "only"]))
    assert causes.to_pylist() == ["2", "3"]


def test_ids_need_only_an_order(control: psycopg.Connection[Any]) -> None:
    control.execute(
        "CREATE SCHEMA other; CREATE TABLE other.migration_errors (id uuid, job_id uuid,"
        " target_table text, source_key text, warning bool,"
        " referenced bool DEFAULT true, rule_id text, status text DEFAULT 'open')"
    )
    job = "11111111-1111-1111-1111-111111111111"
    for id_ in ("b", "a"):
        control.execute(
            "INSERT INTO other.migration_errors VALUES (%s, %s, 't', 's', false)", [id_ * 32, job]
        )
    fates = ParentFates(LedgerSession(control, job, "other"))
    cause = fates.find_causes("t", "source_key", pa.array(["s"]))
    assert cause.to_pylist() == ["aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"]


def test_skipped_parents_are_those_of_the_job_s_loads(control: psycopg.Connection[Any]) -> None:
    control.execute(
        "INSERT INTO migration.migration_skipped VALUES ('j', 'a', 's1', 't1'),"
        " ('j', 'a', 's1', 't1'), ('j', 'b', 's2', NULL), ('j', 'c', 's3', 't3'),"
        " ('k', 'a', 's4', 't4')"
    )
    fates = ParentFates(LedgerSession(control, "j", "migration"))
    sources = pa.array(["s1", None, "s2", "s3", "s4", "s1"])
    skipped = fates.find_skipped(["a", "b"], "source_key", sources)
    assert skipped.to_pylist() == [True, None, True, False, False, True]
    targets = pa.array(["t1", "s1", "t3"])
    skipped = fates.find_skipped(["a", "b"], "target_key", targets)
    assert skipped.to_pylist() == [True, False, False]


def test_an_open_transaction_sees_its_own_rows_and_stays_open(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE p (id integer PRIMARY KEY)")
        connection.execute("INSERT INTO p VALUES (1)")
        relation = relation_of(connection, "p")
        found = ask_target(connection, relation, "id", pa.array([1, 2]))
        assert found.to_pylist() == [True, False]
        assert connection.info.transaction_status.name == "INTRANS"
