"""However a source is divided, its partitions hold every row once, and as many as they say."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from schemas.catalog import Relation
from schemas.catalog_reader import read_query, read_relation
from schemas.errors import ErrorCode, TransfuseError
from tests.support.servers.debian_server import debian_server
from transforms.model.partition import Partition
from transforms.postgres.snapshot import export_snapshot
from transforms.sources.postgres.key_ranges import key_ranges
from transforms.sources.postgres.partition_plan import PartitionBounds, plan_partitions
from transforms.sources.postgres.partition_reader import open_source, read_partition

numbers = itertools.count(1)

SMALL = PartitionBounds(rows=100)


@dataclass(frozen=True)
class Plan:
    partitions: list[Partition]
    batches: list[pa.RecordBatch]

    @property
    def rows(self) -> list[int]:
        return [p.rows for p in self.partitions]


@pytest.fixture(scope="session")
def icu_server() -> Iterator[str]:
    """The folder of the socket of a Debian PostgreSQL: the embedded one has neither ICU nor
    extensions."""
    with debian_server() as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here: tests of collations are left out")
        yield str(conninfo_to_dict(uri)["host"])


@pytest.fixture
def icu_database(icu_server: str) -> str:
    """The URI of a database with the collations ``nocase`` and ``noaccent``, which take
    different texts as equal."""
    name = f"icu{next(numbers)}"
    uri = "postgresql://postgres@/{}?host=" + icu_server
    execute(uri.format("postgres"), f"CREATE DATABASE {name}")
    execute(
        uri.format(name),
        *(
            f"CREATE COLLATION {collation} (provider = icu, locale = 'und-u-ks-level{level}',"
            " deterministic = false)"
            for collation, level in (("nocase", 2), ("noaccent", 1))
        ),
    )
    return uri.format(name)


def execute(uri: str, *statements: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def relation_of(connection: psycopg.Connection, source: str) -> Relation:
    """A table or view by name, or a query."""
    if source.upper().startswith("SELECT"):
        return read_query(connection, source)
    relation = read_relation(connection, source)
    assert relation is not None
    return relation


def content(batch: pa.RecordBatch) -> Counter[tuple[object, ...]]:
    """The rows of a batch with how often each occurs."""
    # As integers, because Python has no infinite times, and its NaN doesn't equal itself.
    integers = {32: pa.int32(), 64: pa.int64()}
    columns = [
        c.view(integers[c.type.bit_width])
        if pa.types.is_temporal(c.type) or pa.types.is_floating(c.type)
        else c
        for c in batch.columns
    ]
    return Counter(zip(*(c.to_pylist() for c in columns), strict=True))


def planned(
    uri: str, source: str, by: Sequence[str] | None = None, bounds: PartitionBounds = SMALL
) -> Plan:
    """Plans, reads every partition under the planner's snapshot, and compares with all rows."""
    with psycopg.connect(uri, autocommit=True) as connection:
        exported = export_snapshot(connection)
        relation = relation_of(connection, source)
        names = [c.name for c in relation.columns]
        partitions = plan_partitions(connection, "load", relation, by, names, bounds)
        counted = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(relation.sql)
        ).fetchone()
        with open_source(uri, exported) as reader:
            batches = [read_partition(reader, relation, names, p, False).batch for p in partitions]
            whole = read_partition(
                reader, relation, names, Partition("load", "", "TRUE", 0), False
            ).batch
    assert counted is not None
    assert sum(p.rows for p in partitions) == counted[0] == whole.num_rows
    assert [b.num_rows for b in batches] == [p.rows for p in partitions]
    assert sum((content(b) for b in batches), Counter()) == content(whole)
    ids = [p.id for p in partitions]
    assert ids == sorted(set(ids))
    assert all(p.load == "load" for p in partitions)
    assert whole.num_rows == 0 or 0 not in [p.rows for p in partitions]
    return Plan(partitions, batches)


def test_an_empty_table_is_one_empty_partition(database: str) -> None:
    execute(database, "CREATE TABLE t (id int PRIMARY KEY, k text)", "CREATE VIEW v AS TABLE t")
    expected = [Partition("load", "000001", "TRUE", 0)]
    assert planned(database, "t").partitions == expected
    assert planned(database, "t", ["k"]).partitions == expected
    assert planned(database, "v").partitions == expected
    assert planned(database, "v", ["k", "id"]).partitions == expected


@pytest.mark.parametrize("rows", [1, 2, 100, 101])
def test_partitions_hold_as_many_rows_as_the_bounds_say(database: str, rows: int) -> None:
    execute(
        database,
        f"CREATE TABLE t AS SELECT g AS id, 'v' || g AS v FROM generate_series(1, {rows}) g",
    )
    for by in (None, ["id"]):
        plan = planned(database, "t", by, PartitionBounds(rows=100))
        assert len(plan.rows) == -(-rows // 100)
        assert max(plan.rows) - min(plan.rows) <= 10
        assert planned(database, "t", by, PartitionBounds(rows=1)).rows == [1] * rows


def test_a_table_without_a_key_is_divided_evenly(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t AS SELECT g % 7 AS a, NULL::text AS b FROM generate_series(1, 20000) g",
    )
    rows = planned(database, "t", bounds=PartitionBounds(rows=3000)).rows
    assert len(rows) == 7
    assert min(rows) > 2000


def test_physical_ranges_are_read_as_such(database: str) -> None:
    execute(database, "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 20000) g")
    inner = planned(database, "t", bounds=PartitionBounds(rows=3000)).partitions[1]
    with psycopg.connect(database) as connection:
        query = sql.SQL("EXPLAIN SELECT id FROM t WHERE ") + sql.SQL(inner.predicate)
        text = "\n".join(line for (line,) in connection.execute(query))
    assert "Tid Range Scan" in text


def test_outer_partitions_are_open_ended(database: str) -> None:
    execute(database, "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 250) g")
    by_position = planned(database, "t").partitions
    by_key = planned(database, "t", ["id"]).partitions
    execute(database, "INSERT INTO t SELECT g FROM generate_series(-5000, 5000) g")
    with psycopg.connect(database) as connection:
        for partitions in (by_position, by_key):
            predicates = sql.SQL(" OR ").join(
                sql.SQL("({})").format(sql.SQL(p.predicate)) for p in partitions
            )
            uncovered = connection.execute(
                sql.SQL("SELECT count(*) FROM t WHERE NOT ({})").format(predicates)
            ).fetchone()
            assert uncovered == (0,)


def test_a_bloated_table_has_no_empty_partitions(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t WITH (autovacuum_enabled = off) AS"
        " SELECT g AS id, repeat('x', 500) AS v FROM generate_series(1, 30000) g",
        "DELETE FROM t WHERE id % 1000 <> 0 AND id NOT BETWEEN 20000 AND 20999",
    )
    rows = planned(database, "t", bounds=PartitionBounds(rows=500)).rows
    assert sum(rows) == 1029
    assert len(rows) == 3


def test_a_table_with_inheriting_tables_is_read_with_them(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE TABLE child () INHERITS (t)",
        "INSERT INTO t SELECT generate_series(1, 10)",
        "INSERT INTO child SELECT generate_series(1, 5000)",
    )
    rows = planned(database, "t").rows
    assert max(rows) <= 100
    assert sum(rows) == 5010


def test_wide_rows_in_toast_are_bounded_in_bytes(database: str) -> None:
    # Compressible text: stored in a hundredth of what it is in a batch.
    execute(
        database,
        "CREATE TABLE t (id int, note text)",
        "INSERT INTO t SELECT g, repeat('word' || g, 12000) FROM generate_series(1, 200) g",
        "INSERT INTO t SELECT g, 'short' FROM generate_series(201, 5000) g",
    )
    for by in (None, ["id"]):
        plan = planned(database, "t", by, PartitionBounds(bytes=2**20))
        sizes = [b.nbytes for b in plan.batches]
        assert max(sizes) <= 1.05 * 2**20
        assert len(sizes) < 2 * sum(sizes) / 2**20


def test_types_that_travel_as_text_are_bounded_by_their_text(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t AS SELECT g AS id, jsonb_build_object('v', repeat('x', 5000)) AS v"
        " FROM generate_series(1, 1000) g",
    )
    plan = planned(database, "t", bounds=PartitionBounds(bytes=2**20))
    assert max(b.nbytes for b in plan.batches) < 1.2 * 2**20
    assert len(plan.batches) < 8


def test_bytes_count_only_the_columns_that_are_read(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t AS SELECT g AS id, repeat('x', 1000) AS v FROM generate_series(1, 2000) g",
    )
    with psycopg.connect(database) as connection:
        relation = relation_of(connection, "t")
        bounds = PartitionBounds(bytes=100_000)
        wide = plan_partitions(connection, "t", relation, None, ["id", "v"], bounds)
        narrow = plan_partitions(connection, "t", relation, None, ["id"], bounds)
    assert len(wide) > 20
    assert len(narrow) == 1


def test_one_row_beyond_the_bounds_is_a_partition(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t (id int, v text)",
        "INSERT INTO t SELECT g, repeat('x', CASE g WHEN 50 THEN 300000 ELSE 10 END)"
        " FROM generate_series(1, 100) g",
    )
    execute(database, "CREATE VIEW v AS TABLE t")
    for source, by in (("t", None), ("t", ["id"]), ("v", ["id"])):
        assert planned(database, source, by, PartitionBounds(bytes=100_000)).rows == [49, 1, 50]


def test_rows_with_a_null_key_have_partitions_of_their_own(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t AS SELECT nullif(g % 3, 0) AS a, nullif(g % 5, 0)::text AS b, g AS id"
        " FROM generate_series(1, 1500) g",
    )
    one = planned(database, "t", ["a"])
    nulls = [p for p in one.partitions if p.predicate.startswith('("a" IS NULL)')]
    assert sum(p.rows for p in nulls) == 500
    assert max(one.rows) <= 100
    assert one.partitions[-len(nulls) :] == nulls
    both = planned(database, "t", ["a", "b"])
    assert max(both.rows) <= 100
    assert sum(p.rows for p in both.partitions if " IS NULL" in p.predicate) == 700


def test_a_key_that_is_always_null(database: str) -> None:
    execute(
        database, "CREATE TABLE t AS SELECT NULL::int AS k, g AS id FROM generate_series(1, 950) g"
    )
    rows = planned(database, "t", ["k"]).rows
    assert len(rows) == 10
    assert max(rows) <= 100


@pytest.mark.slow
@pytest.mark.parametrize("source", ["t", "v"])
def test_one_value_of_most_rows_is_divided_further(database: str, source: str) -> None:
    execute(
        database,
        "CREATE TABLE t AS SELECT CASE WHEN g % 10 < 9 THEN 'common' ELSE 'rare ' || g END AS k,"
        " nullif(g % 4, 0) AS a, g AS id FROM generate_series(1, 200000) g",
        "CREATE VIEW v AS SELECT * FROM t",
    )
    plan = planned(database, source, ["k"], PartitionBounds(rows=20_000))
    assert max(plan.rows) <= 20_000
    assert len(plan.rows) <= 13


def test_rows_alike_in_every_column_stay_together_where_they_have_no_position(
    database: str,
) -> None:
    assert planned(database, "SELECT 1 AS k FROM generate_series(1, 500)", ["k"]).rows == [500]


def test_a_sample_gives_boundaries_and_the_table_the_counts(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t AS SELECT CASE WHEN g % 3 = 0 THEN 50000 ELSE g END AS k,"
        " nullif(g % 11, 0) AS a FROM generate_series(1, 60000) g",
    )
    bounds = PartitionBounds(rows=10_000)
    with psycopg.connect(database) as connection:
        relation = relation_of(connection, "t")
        for by in (["k"], ["a", "k"]):
            ranges = key_ranges(
                connection, relation, by, 300, sql.SQL("8::float8"), bounds, sorted_rows=1000
            )
            counts = []
            for found in ranges:
                row = connection.execute(
                    sql.SQL("SELECT count(*) FROM t WHERE {}").format(found.condition)
                ).fetchone()
                assert row is not None
                counts.append(row[0])
            assert counts == [r.rows for r in ranges]
            assert sum(counts) == 60000
            assert min(counts) > 0
            assert max(counts) <= 10_000


ODD = [
    "a", "A", "b", "B", "ä", "Ä", "z", "Z", "ß", "ss", "", " ", "  ", "'", "''", "\\", "\\'",
    '"', "%s", "%", "{}", "$1", "a-b", "ab", "a b", "\t", "\n", "e\u0301", "\u00e9", "\u4e2d",
    "\U0001f600", "10", "9", "-", "_", "co-op", "coop", "Coop", "CO-OP", "\u200b", "NULL",
]  # fmt: skip


def keep_odd_texts(uri: str, collation: str) -> int:
    """Fills a table with texts that are hard to sort and to quote; gives their number."""
    execute(uri, f"CREATE TABLE t (k text COLLATE {collation}, id int)")
    chosen = random.Random(7)
    texts = ODD + ["".join(chosen.choices(ODD, k=3)) for _ in range(300)]
    with psycopg.connect(uri) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(k, n) for n, k in enumerate(texts)])
    return len(texts)


def check_text_keys(uri: str, collation: str, source: str) -> None:
    texts = keep_odd_texts(uri, collation)
    rows = planned(uri, source, ["k"], PartitionBounds(rows=20)).rows
    assert max(rows) <= 20
    assert len(rows) < 2 * texts / 20
    planned(uri, source, ["k", "id"], PartitionBounds(rows=1))


@pytest.mark.parametrize("collation", ['"C"', "pg_c_utf8"])
@pytest.mark.parametrize("source", ["t", "SELECT * FROM t"])
def test_text_keys(database: str, collation: str, source: str) -> None:
    check_text_keys(database, collation, source)


@pytest.mark.slow
@pytest.mark.parametrize("collation", ['"en-x-icu"', '"sv-x-icu"', "nocase", "noaccent"])
@pytest.mark.parametrize("source", ["t", "SELECT * FROM t"])
def test_text_keys_under_icu_collations(icu_database: str, collation: str, source: str) -> None:
    check_text_keys(icu_database, collation, source)


def test_a_type_whose_operators_are_not_on_the_search_path(icu_database: str) -> None:
    execute(icu_database, "CREATE SCHEMA ext", "CREATE EXTENSION citext SCHEMA ext")
    keep_odd_texts(icu_database, '"C"')
    execute(icu_database, "ALTER TABLE t ALTER k TYPE ext.citext")
    assert max(planned(icu_database, "t", ["k"], PartitionBounds(rows=20)).rows) <= 20
    planned(icu_database, "t", ["k", "id"], PartitionBounds(rows=7))


@pytest.mark.parametrize(
    ("type_", "expression"),
    [
        ("bigint", "(g - 500) * 9223372036854775"),
        ("smallint", "g % 40"),
        ("numeric", "CASE g % 9 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE g / 7.0 END"),
        ("float8", "CASE g % 9 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' ELSE sqrt(g) END"),
        ("float4", "sqrt(g)"),
        ("uuid", "md5(g::text)"),
        ("date", "CASE g % 9 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity'"
                 " WHEN 2 THEN '0044-03-15 BC' ELSE (date '1999-12-01' + g)::text END"),
        ("timestamp", "CASE g % 9 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity'"
                      " ELSE (timestamp '2000-01-01' + g * interval '1.000001 s')::text END"),
        ("timestamptz", "'2020-10-25 00:00+02'::timestamptz + g * interval '7 min'"),
        ("interval", "g * interval '1 day 3.5 s'"),
        ("char(8)", "g::text || '  '"),
        ("varchar", "g::text"),
        ("name", "'n' || g"),
        ('"char"', "chr(65 + g % 50)"),
        ("boolean", "g % 2 = 0"),
        ("bytea", "decode(md5(g::text), 'hex')"),
        ("inet", "'10.0.0.0'::inet + g"),
        ("mood", "(ARRAY['so, so', 'it''s ok', 'BAD'])[1 + g % 3]"),
        ("age", "g % 120"),
        ("int[]", "ARRAY[g % 10, NULL, g]"),
        ("text[]", "ARRAY['a''b', chr(34), 'v' || g]"),
        ("jsonb", "to_jsonb(g)"),
        ("pair", "ROW(g % 10, 'it''s, ' || g)"),
        ("int4range", "int4range(g, g + 10)"),
        ("bit(12)", "g::bit(12)"),
        ('"Odd"."Mood"', "'m' || g % 2"),
    ],
)  # fmt: skip
def test_keys_of_any_type_with_an_order(database: str, type_: str, expression: str) -> None:
    execute(
        database,
        "CREATE TYPE mood AS ENUM ('so, so', 'it''s ok', 'BAD')",
        "CREATE DOMAIN age AS smallint CHECK (VALUE >= 0)",
        "CREATE TYPE pair AS (a int, b text)",
        'CREATE SCHEMA "Odd"',
        """CREATE TYPE "Odd"."Mood" AS ENUM ('m1', 'm0')""",
        f"CREATE TABLE t AS SELECT (({expression})::text)::{type_} AS k, g AS id"
        " FROM generate_series(1, 1000) g",
        "INSERT INTO t SELECT NULL, g FROM generate_series(1001, 1003) g",
    )
    plan = planned(database, "t", ["k"])
    assert max(plan.rows) <= 100
    assert 11 <= len(plan.rows) <= 25
    assert plan.rows[-1] == 3
    planned(database, "t", ["k", "id"], PartitionBounds(rows=13))


@pytest.mark.parametrize("fixture", ["database", "icu_database"])
def test_composite_keys_are_compared_as_rows(request: pytest.FixtureRequest, fixture: str) -> None:
    database: str = request.getfixturevalue(fixture)
    collation = "nocase" if fixture == "icu_database" else '"C"'
    execute(
        database,
        f'CREATE TABLE t (site text COLLATE {collation}, "Visit No" int, d date, id int)',
        "INSERT INTO t SELECT (ARRAY['b', 'A', 'a', 'B', NULL])[1 + g % 5], nullif(g / 50, 3),"
        " CASE WHEN g % 7 = 0 THEN 'infinity' ELSE date '2020-01-01' + g % 3 END, g"
        " FROM generate_series(1, 2000) g",
    )
    plan = planned(database, "t", ["site", "visit no", "d"])
    assert max(plan.rows) <= 100
    assert len(plan.rows) < 30


@pytest.fixture
def visits(database: str) -> str:
    execute(
        database,
        "CREATE TABLE visits (site int, no int, note text, PRIMARY KEY (site, no))"
        " PARTITION BY LIST (site)",
        *(f"CREATE TABLE visits_{n} PARTITION OF visits FOR VALUES IN ({n})" for n in range(3)),
        "INSERT INTO visits SELECT g % 3, g, 'n' || g FROM generate_series(1, 1000) g",
        "CREATE TABLE loose (site int, no int) PARTITION BY LIST (site)",
        "CREATE TABLE loose_0 PARTITION OF loose DEFAULT",
        "INSERT INTO loose SELECT g, g FROM generate_series(1, 101) g",
        "CREATE VIEW v AS SELECT site, no FROM visits WHERE no > 10",
        "CREATE MATERIALIZED VIEW m AS TABLE v",
    )
    return database


def test_a_partitioned_table_is_divided_by_its_key(visits: str) -> None:
    plan = planned(visits, "visits")
    assert plan.rows == [100] * 10
    assert '("site", "no") >= ' in plan.partitions[1].predicate


def test_a_nullable_unique_key_is_no_key(visits: str) -> None:
    execute(visits, "ALTER TABLE loose ADD UNIQUE (site)")
    with pytest.raises(TransfuseError):
        planned(visits, "loose")
    execute(visits, "ALTER TABLE loose ALTER site SET NOT NULL")
    assert planned(visits, "loose").rows == [51, 50] or len(planned(visits, "loose").rows) == 2


def test_a_materialised_view_has_physical_ranges(visits: str) -> None:
    assert "ctid" in planned(visits, "m").partitions[0].predicate


@pytest.mark.parametrize("source", ["v", "loose", "SELECT no FROM visits -- all of them\n"])
def test_without_a_key_only_a_small_relation_is_read(visits: str, source: str) -> None:
    assert planned(visits, source, bounds=PartitionBounds(rows=1000)).partitions[0].predicate == (
        "TRUE"
    )
    for bounds in (SMALL, PartitionBounds(bytes=100)):
        with pytest.raises(TransfuseError) as refused:
            planned(visits, source, bounds=bounds)
        (problem,) = refused.value.problems
        assert problem.code is ErrorCode.SYS_004
        assert "partition column" in problem.remedy
    assert len(planned(visits, source, ["no"]).rows) >= 2


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("missing", "the partition column missing doesn't exist"),
        ("document", "the server has no order for the partition key id, document"),
        ("place", "the server has no order for the partition key id, place"),
    ],
)
def test_a_column_that_cannot_be_a_key_is_named(database: str, column: str, message: str) -> None:
    execute(database, "CREATE TABLE t (document json, place point, id int)")
    with psycopg.connect(database) as connection:
        relation = relation_of(connection, "t")
        with pytest.raises(TransfuseError) as refused:
            plan_partitions(connection, "load", relation, ["id", column], ["id"], SMALL)
        (problem,) = refused.value.problems
        assert (problem.code, problem.message) == (ErrorCode.SYS_004, message)
        assert problem.where == str(relation)
        # The transaction, and with it the exported snapshot, is still usable.
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_boundaries_do_not_depend_on_the_planners_settings(database: str) -> None:
    execute(
        database,
        "CREATE TABLE t AS SELECT date '2020-01-01' + g AS d, g * interval '1 hour' AS i,"
        " timestamptz '2020-03-29 00:00+00' + g * interval '1 min' AS t"
        " FROM generate_series(1, 300) g",
    )
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        for setting in (
            "timezone = 'Europe/Berlin'",
            "datestyle = 'SQL, DMY'",
            "intervalstyle = 'sql_standard'",
        ):
            connection.execute(f"ALTER DATABASE {name} SET {setting}")
    for key in "dit":
        assert planned(database, "t", [key]).rows == [100] * 3


def test_bounds_have_room_for_a_row() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        PartitionBounds(rows=0)
    with pytest.raises(ValueError, match="at least one row"):
        PartitionBounds(bytes=0)


keys = st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**31), 2**31 - 1))
texts = st.one_of(
    st.none(), st.sampled_from(ODD), st.text(st.characters(exclude_characters="\0", codec="utf-8"))
)
tables = st.lists(st.tuples(keys, texts, st.integers(0, 400)), max_size=60)


@pytest.mark.parametrize(
    "fixture", ["database", pytest.param("icu_database", marks=pytest.mark.slow)]
)
def test_any_small_table_is_covered_once(request: pytest.FixtureRequest, fixture: str) -> None:
    uri: str = request.getfixturevalue(fixture)
    collation = "noaccent" if fixture == "icu_database" else '"C"'
    execute(
        uri,
        f"CREATE TABLE t (a int, b text COLLATE {collation}, c text)",
        "CREATE VIEW v AS SELECT * FROM t",
    )

    @settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(
        rows=tables,
        bounds=st.builds(PartitionBounds, rows=st.integers(1, 20), bytes=st.integers(1, 5000)),
        source=st.sampled_from(["t", "v"]),
        by=st.sampled_from([["a"], ["b"], ["a", "b"], ["b", "a"], ["c"]]),
        physical=st.booleans(),
    )
    def check(
        rows: list[tuple[int | None, str | None, int]],
        bounds: PartitionBounds,
        source: str,
        by: list[str],
        physical: bool,
    ) -> None:
        with psycopg.connect(uri) as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM t")
            cursor.executemany("INSERT INTO t VALUES (%s, %s, repeat('x', %s))", rows)
        plan = planned(uri, source, None if physical and source == "t" else by, bounds)
        if source == "t":
            assert max(plan.rows) <= bounds.rows or rows == []

    check()
