"""The same rows as files of each format, and as a table: the target is the same."""

from __future__ import annotations

import gzip
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.pipelines.two_databases import HEADER, Row, TwoDatabases

ROWS = 1_000_000

LEGACY = f"""
CREATE TABLE stays (id bigint PRIMARY KEY, patient text, admitted date, at timestamptz,
    cost numeric(10,2), ratio float8, open bool, note text);
INSERT INTO stays SELECT i, 'P' || i % 9973, date '1990-01-01' + i % 9000,
    timestamptz '2000-01-01 00:00:00+00' + i * interval '1 minute', (i % 100000) / 100.0,
    i / 8.0, i % 3 = 0, CASE WHEN i % 11 > 0 THEN 'line "' || i || E'"\\n, Zoë' END
FROM generate_series(1, {ROWS}) i
"""

TARGET = """
CREATE TABLE stays (id bigint PRIMARY KEY, patient text, admitted date, at timestamptz,
    cost numeric(10,2), ratio float8, open bool, note text)
"""

LOAD = """
tables:
  stays:
    from: %s
    key: [id]
    fields:
      id: {from: id, type: bigint}
      patient: {from: patient}
      admitted: {from: admitted, type: date, format: "%%Y-%%m-%%d"}
      at: {from: at, type: timestamptz}
      cost: {from: cost, type: "numeric(10,2)"}
      ratio: {from: ratio, type: double precision}
      open: {from: open, type: boolean}
      note: {from: note}
"""

NAMES = ("id", "patient", "admitted", "at", "cost", "ratio", "open", "note")

AVRO: dict[str, Any] = {
    "type": "record",
    "name": "stay",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "patient", "type": "string"},
        {"name": "admitted", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {
            "name": "cost",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
        },
        {"name": "ratio", "type": "double"},
        {"name": "open", "type": "boolean"},
        {"name": "note", "type": ["null", "string"]},
    ],
}


def written(databases: TwoDatabases, folder: Path, form: str) -> str:
    """Writes the table as a file; its name."""
    if form.startswith("csv"):
        text = bytearray()
        with (
            databases.legacy.another() as connection,
            connection.cursor() as cursor,
            cursor.copy("COPY stays TO STDOUT (FORMAT csv, HEADER)") as copy,
        ):
            for block in copy:
                text += block
        name = "stays.csv" if form == "csv" else "stays.csv.gz"
        data = bytes(text)
        (folder / name).write_bytes(data if form == "csv" else gzip.compress(data, 1))
        return name
    rows = databases.legacy.rows("SELECT * FROM stays ORDER BY id")
    if form == "parquet":
        types = [
            pa.int64(),
            pa.string(),
            pa.date32(),
            pa.timestamp("us", tz="UTC"),
            pa.decimal128(10, 2),
            pa.float64(),
            pa.bool_(),
            pa.string(),
        ]
        columns = [pa.array(v, t) for v, t in zip(zip(*rows, strict=True), types, strict=True)]
        pa.parquet.write_table(pa.table(columns, NAMES), folder / "stays.parquet")
        return "stays.parquet"
    with (folder / "stays.avro").open("wb") as file:
        records = (dict(zip(NAMES, row, strict=True)) for row in rows)
        fastavro.writer(file, AVRO, records, codec="deflate")
    return "stays.avro"


def content(databases: TwoDatabases) -> Row:
    return databases.target.row("SELECT count(*), sum(hashtextextended(stays::text, 0)) FROM stays")


@pytest.mark.slow
def test_a_million_rows_are_the_same_from_every_format(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    databases.migrate(LOAD % "stays")
    expected = content(databases)
    assert expected[0] == ROWS
    for form in ("csv", "csv.gz", "parquet", "avro"):
        name = written(databases, databases.folder, form)
        databases.target.run("DROP SCHEMA migration CASCADE; TRUNCATE stays")
        source = f"source: {{path: ., format: {form.removesuffix('.gz')}}}"
        header = HEADER.replace('source: {url: "${LEGACY_URL}"}', source)
        summary = databases.migrate(LOAD % name, header=header).summary.tables["stays"]
        assert content(databases) == expected, form
        assert summary.partitions > 5
        (databases.folder / name).unlink()


TYPES = {
    "uint64": (pa.array([2**64 - 1], pa.uint64()), "numeric", Decimal(2**64 - 1)),
    "int8": (pa.array([-128], pa.int8()), "smallint", -128),
    "float16": (pa.array([1.5], pa.float16()), "real", 1.5),
    "dictionary": (pa.array(["a"]).dictionary_encode(), "text", "a"),
    "large string": (pa.array(["a"], pa.large_string()), "text", "a"),
    "binary": (pa.array([b"\x00\xff"]), "bytea", b"\x00\xff"),
    "date64": (pa.array([date(1850, 2, 3)], pa.date64()), "date", date(1850, 2, 3)),
    "time": (pa.array([3_723_000_004], pa.time64("us")), "text", "01:02:03.000004"),
    "seconds": (
        pa.array([-1], pa.timestamp("s")),
        "timestamp",
        datetime(1969, 12, 31, 23, 59, 59),
    ),
    "nanoseconds": (
        pa.array([1_000_000_001_000], pa.timestamp("ns", tz="Europe/Berlin")),
        "timestamptz",
        datetime(1970, 1, 1, 0, 16, 40, 1, tzinfo=timezone.utc),
    ),
    "decimal256": (
        pa.array([Decimal("1" * 40 + ".5")], pa.decimal256(41, 1)),
        "numeric",
        Decimal("1" * 40 + ".5"),
    ),
    "list": (pa.array([[1, None]]), "json", [1, None]),
    "struct": (pa.array([{"a": "ä"}]), "jsonb", {"a": "ä"}),
    "null": (pa.nulls(1), "text", None),
}


def test_types_of_parquet(databases: TwoDatabases) -> None:
    names = [f"c{number}" for number in range(len(TYPES))]
    columns = ", ".join(
        f"{name} {kind}" for name, (_, kind, _) in zip(names, TYPES.values(), strict=True)
    )
    databases.target.run(f"CREATE TABLE t ({columns})")
    table = pa.table([array for array, _, _ in TYPES.values()], names)
    pa.parquet.write_table(table, databases.folder / "t.parquet")
    header = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: parquet}")
    databases.migrate(
        f"tables: {{t: {{from: t.parquet, copy: [{', '.join(names)}]}}}}", header=header
    )
    assert databases.target.row("TABLE t") == tuple(value for _, _, value in TYPES.values())


def test_a_timestamp_that_would_be_rounded_is_rejected(databases: TwoDatabases) -> None:
    databases.target.run("CREATE TABLE t (n int, at timestamp)")
    table = pa.table({"n": [1, 2], "at": pa.array([1001, 2000], pa.timestamp("ns"))})
    pa.parquet.write_table(table, databases.folder / "t.parquet")
    header = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: parquet}")
    summary = databases.migrate(
        "tables: {t: {from: t.parquet, copy: [n, at]}}", header=header
    ).summary
    assert databases.target.values("SELECT n FROM t") == [2]
    assert summary.violations == {"DATA-003": 1}
