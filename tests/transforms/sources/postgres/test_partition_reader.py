"""What arrives from PostgreSQL is what stood there, or is named as not representable."""

from __future__ import annotations

import psycopg
import pyarrow as pa
import pytest

from schemas.catalog import Relation
from schemas.catalog_reader import read_query, read_relation
from transforms.model.partition import Partition
from transforms.model.source_rows import SourceRows
from transforms.sources.postgres.partition_reader import open_source, read_partition

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


def read(
    uri: str, relation: Relation, predicate: str = "TRUE", with_ctid: bool = False
) -> SourceRows:
    with open_source(uri, None) as connection:
        partition = Partition("load", "000001", predicate, 0)
        names = [column.name for column in relation.columns]
        return read_partition(connection, relation, names, partition, with_ctid)


def described(uri: str, query: str) -> Relation:
    with psycopg.connect(uri) as connection:
        return read_query(connection, query)


def table(uri: str, name: str, *statements: str) -> Relation:
    with psycopg.connect(uri) as connection:
        for statement in statements:
            connection.execute(statement)
        relation = read_relation(connection, name)
    assert relation is not None
    return relation


@pytest.mark.parametrize(
    ("value", "expected_type", "expected"),
    [
        ("true", pa.bool_(), True),
        ("'-32768'::int2", pa.int16(), -32768),
        ("2147483647", pa.int32(), INT32_MAX),
        ("9223372036854775807", pa.int64(), INT64_MAX),
        ("'1.1'::float4", pa.float32(), pa.scalar(1.1, pa.float32()).as_py()),
        ("'-infinity'::float8", pa.float64(), float("-inf")),
        ("E'na\\u00efve \\t'::text", pa.string(), "na\u00efve \t"),
        ("''::varchar(5)", pa.string(), ""),
        ("'ab'::char(5)", pa.string(), "ab"),
        ("'ab'::name", pa.string(), "ab"),
        ("'1.50'::numeric(6,3)", pa.string(), "1.500"),
        ("'NaN'::numeric", pa.string(), "NaN"),
        ("'24:00'::time", pa.string(), "24:00:00"),
        ("'1 mon 2 days'::interval", pa.string(), "1 mon 2 days"),
        ("'{{1,NULL},{3,4}}'::int[]", pa.string(), "{{1,NULL},{3,4}}"),
        (r"'\x00ff'::bytea", pa.string(), r"\x00ff"),
        ("""'{"b": 1,  "a": 2}'::json""", pa.string(), """{"b": 1,  "a": 2}"""),
        (
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid",
            pa.string(),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("NULL::numeric", pa.string(), None),
        ("NULL::date", pa.date32(), None),
    ],
)
def test_a_value_travels_natively_or_as_the_servers_text(
    database: str, value: str, expected_type: pa.DataType, expected: object
) -> None:
    rows = read(database, described(database, f"SELECT {value} AS v"))
    assert rows.batch.schema.field("src.v").type == expected_type
    assert rows.batch.column("src.v").to_pylist() == [expected]
    assert rows.unrepresentable == {}


def test_a_domain_travels_as_its_base_type(database: str) -> None:
    relation = table(
        database,
        "d",
        "CREATE DOMAIN age AS int2 CHECK (VALUE >= 0)",
        "CREATE DOMAIN label AS text",
        "CREATE TABLE d (a age, l label)",
        "INSERT INTO d VALUES (7, 'x')",
    )
    batch = read(database, relation).batch
    assert batch.schema.types == [pa.int16(), pa.string()]
    assert batch.to_pylist() == [{"src.a": 7, "src.l": "x"}]


def test_infinite_dates_are_the_largest_integers(database: str) -> None:
    relation = described(
        database,
        "SELECT d::date AS d FROM unnest('{infinity,-infinity,4713-01-01 BC,1970-01-02,"
        "5874897-12-31,NULL}'::text[]) WITH ORDINALITY AS t (d, n) ORDER BY n",
    )
    days = read(database, relation).batch.column("src.d")
    assert days.type == pa.date32()
    assert days.view(pa.int32()).to_pylist() == [
        INT32_MAX,
        -INT32_MAX,
        -2440550,
        1,
        2145042905,
        None,
    ]


@pytest.mark.parametrize("zone", ["timestamp", "timestamptz"])
def test_infinite_timestamps_are_the_largest_integers_and_late_ones_are_named(
    database: str, zone: str
) -> None:
    relation = described(
        database,
        f"SELECT t::{zone} AS t FROM unnest('{{infinity,-infinity,2000-01-01 00:00:00.000001,"
        "294247-01-10 04:00:54.775806,294247-01-10 04:00:54.775807,294247-01-10 04:00:54.775808,"
        "294276-12-31 23:59:59.999999,NULL}'::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n",
    )
    rows = read(database, relation)
    assert rows.batch.column("src.t").view(pa.int64()).to_pylist() == [
        INT64_MAX,
        -INT64_MAX,
        946684800000001,
        INT64_MAX - 1,
        None,
        None,
        None,
        None,
    ]
    assert list(rows.unrepresentable) == ["src.t"]
    assert rows.unrepresentable["src.t"].to_pylist() == [False] * 4 + [True] * 3 + [False]


def test_only_the_rows_of_the_partition_come_with_their_positions(database: str) -> None:
    relation = table(
        database,
        "t",
        'CREATE TABLE t (id int, "Odd ""name" text)',
        "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 5) g",
    )
    rows = read(database, relation, "ctid >= '(0,2)'::tid AND ctid < '(0,4)'::tid", with_ctid=True)
    assert rows.batch.to_pylist() == [
        {"src.id": 2, 'src.Odd "name': "v2", "src.ctid": "(0,2)"},
        {"src.id": 3, 'src.Odd "name': "v3", "src.ctid": "(0,3)"},
    ]


def test_a_partition_without_rows_has_its_columns(database: str) -> None:
    batch = read(
        database, described(database, "SELECT 1 AS a, 'x' AS b, now() AS c"), "a > 1"
    ).batch
    assert batch.num_rows == 0
    assert batch.schema.types == [pa.int32(), pa.string(), pa.timestamp("us", tz="UTC")]


def test_a_large_partition_is_one_batch(database: str) -> None:
    relation = described(database, "SELECT repeat('x', 200000) AS t FROM generate_series(1, 200)")
    batch = read(database, relation).batch
    assert isinstance(batch, pa.RecordBatch)
    assert batch.num_rows == 200
    assert batch.nbytes > 2 * 16 * 2**20


def test_text_does_not_depend_on_the_databases_settings(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        for setting in (
            "timezone = 'Asia/Tokyo'",
            "datestyle = 'SQL, DMY'",
            "intervalstyle = 'iso_8601'",
            "bytea_output = 'escape'",
            "extra_float_digits = 0",
        ):
            connection.execute(f"ALTER DATABASE {name} SET {setting}")
    relation = described(
        database,
        "SELECT '2020-02-01'::date::text AS d, '2020-02-01 12:00+00'::timestamptz::text AS t,"
        " '1 day'::interval AS i, 'a'::bytea AS b, (0.1::float8 + 0.2::float8)::text AS f",
    )
    assert list(read(database, relation).batch.to_pylist()[0].values()) == [
        "2020-02-01",
        "2020-02-01 12:00:00+00",
        "1 day",
        r"\x61",
        "0.30000000000000004",
    ]


def test_reading_nothing_is_a_mistake(database: str) -> None:
    relation = described(database, "SELECT 1 AS a")
    partition = Partition("load", "000001", "TRUE", 1)
    with open_source(database, None) as connection:
        with pytest.raises(ValueError, match="at least one column"):
            read_partition(connection, relation, [], partition, False)
        with pytest.raises(ValueError, match="no column b"):
            read_partition(connection, relation, ["b"], partition, False)
