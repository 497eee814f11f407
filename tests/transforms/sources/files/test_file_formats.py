"""The same rows as files of each format, and as a table: the target is the same."""

from __future__ import annotations

import gzip
import io
import json
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.support.databases.two_databases import HEADER, Row, TwoDatabases

ROWS = 250_000

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
def test_many_rows_are_the_same_from_every_format(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    several = HEADER.replace("limits: {", "limits: {memory: 20MB, ")
    databases.migrate(LOAD % "stays", header=several)
    expected = content(databases)
    assert expected[0] == ROWS
    for form in ("csv", "csv.gz", "parquet", "avro"):
        name = written(databases, databases.folder, form)
        databases.target.run("DROP SCHEMA migration CASCADE; TRUNCATE stays")
        source = f"source: {{path: ., format: {form.removesuffix('.gz')}}}"
        header = several.replace('source: {url: "${LEGACY_URL}"}', source)
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
    "a small decimal": (
        pa.array([Decimal("0.0000000100")], pa.decimal128(12, 10)),
        "text",
        "0.0000000100",
    ),
    "the end of a day": (pa.array([86_400], pa.time32("s")), "text", "24:00:00"),
    "nested bytes": (pa.array([[b"\xff"]]), "json", ["\\xff"]),
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


LOST = {
    "text that isn't UTF-8": (pa.array([b"\xff"]).view(pa.string()), "text"),
    "a time finer than a microsecond": (pa.array([1], pa.time64("ns")), "time"),
    "a time after the end of the day": (pa.array([90_000], pa.time32("s")), "time"),
    "a day that would mean infinity": (pa.array([2**31 - 1], pa.int32()).view(pa.date32()), "date"),
    "a timestamp out of range": (pa.array([2**62], pa.timestamp("ms")), "timestamp"),
    "a number that JSON hasn't got": (pa.array([[float("nan")]]), "json"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LOST)
def test_a_value_that_cannot_travel_rejects_its_row(databases: TwoDatabases, case: str) -> None:
    array, kind = LOST[case]
    databases.target.run(f"CREATE TABLE t (n int, v {kind})")
    other = pa.nulls(1, array.type)
    table = pa.table({"n": [1, 2], "v": pa.concat_arrays([array, other])})
    pa.parquet.write_table(table, databases.folder / "t.parquet")
    header = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: parquet}")
    load = "tables: {t: {from: t.parquet, copy: [n, v]}}"
    summary = databases.migrate(load, header=header).summary
    assert databases.target.rows("TABLE t") == [(2, None)]
    assert summary.violations == {"DATA-003": 1}


DECIMAL = {
    "type": "fixed",
    "name": "f",
    "size": 20,
    "logicalType": "decimal",
    "precision": 40,
    "scale": 2,
}

OF_AVRO: dict[str, tuple[Any, str]] = {
    "at": ({"type": "long", "logicalType": "timestamp-millis"}, "timestamptz"),
    "local": ({"type": "long", "logicalType": "local-timestamp-micros"}, "timestamp"),
    "day": ({"type": "int", "logicalType": "date"}, "text"),
    "time": ({"type": "int", "logicalType": "time-millis"}, "time"),
    "n": (DECIMAL, "numeric"),
    "id": ({"type": "string", "logicalType": "uuid"}, "uuid"),
    "raw": ("bytes", "bytea"),
    "list": ({"type": "array", "items": "long"}, "json"),
    "either": (["null", "string", "long"], "json"),
    "note": (["null", "string"], "text"),
}


def test_values_of_avro(databases: TwoDatabases) -> None:
    """Those that Python's own types don't hold, too."""
    good = {
        "at": 4_102_444_800_001,
        "local": -1,
        "day": 3_000_000,
        "time": 1,
        "n": (10**39 + 1).to_bytes(20, "big"),
        "id": "00000000-0000-0000-0000-00000000000a",
        "raw": b"\x00",
        "list": [1],
        "either": 5,
        "note": None,
    }
    rows = [good, {**good, "at": 2**62}, {**good, "note": BAD}]
    write_avro(databases.folder / "t.avro", rows)
    columns = ", ".join(f'"{name}" {kind}' for name, (_, kind) in OF_AVRO.items())
    databases.target.run(f"CREATE TABLE t ({columns})")
    header = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: avro}")
    load = f"tables: {{t: {{from: t.avro, copy: [{', '.join(OF_AVRO)}]}}}}"
    summary = databases.migrate(load, header=header).summary
    assert summary.violations == {"DATA-003": 2}
    assert databases.target.rows('SELECT "at"::text, local::text, day, time::text, n FROM t') == [
        (
            "2100-01-01 00:00:00.001+00",
            "1969-12-31 23:59:59.999999",
            *databases.target.values("SELECT (date '1970-01-01' + 3000000)::text"),
            "00:00:00.001",
            Decimal(f"1{0:037}.01"),
        )
    ]
    assert databases.target.row("SELECT id::text, raw, list, either, note FROM t") == (
        "00000000-0000-0000-0000-00000000000a",
        b"\x00",
        [1],
        5,
        None,
    )


NESTED: dict[str, tuple[Any, str]] = {
    "days": ({"type": "array", "items": {"type": "int", "logicalType": "date"}}, "date[]"),
    "sums": ({"type": "array", "items": DECIMAL}, "numeric[]"),
    "again": ({"type": "array", "items": "f"}, "jsonb"),
    "moments": (
        {"type": "array", "items": {"type": "long", "logicalType": "timestamp-millis"}},
        "timestamptz[]",
    ),
    "visit": (
        {
            "type": "record",
            "name": "visit",
            "fields": [
                {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
                {"name": "at", "type": {"type": "long", "logicalType": "time-micros"}},
            ],
        },
        "jsonb",
    ),
}


def test_logical_types_inside_of_others(databases: TwoDatabases) -> None:
    row = {
        "days": [date(2020, 1, 2)],
        "sums": [Decimal("-1.50")],
        "again": [Decimal("2.25")],
        "moments": [datetime(2020, 1, 2, 3, 4, 5, 6000, timezone.utc)],
        "visit": {"day": date(2021, 2, 3), "at": time(1, 2, 3)},
    }
    with (databases.folder / "t.avro").open("wb") as file:
        fastavro.writer(file, schema({n: kind for n, (kind, _) in NESTED.items()}), [row])
    columns = ", ".join(f"{name} {kind}" for name, (_, kind) in NESTED.items())
    databases.target.run(f"CREATE TABLE t ({columns})")
    header = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: avro}")
    load = f"tables: {{t: {{from: t.avro, copy: [{', '.join(NESTED)}]}}}}"
    databases.migrate(load, header=header)
    assert databases.errors() == []
    assert databases.target.row("TABLE t") == (
        row["days"],
        row["sums"],
        ["2.25"],
        row["moments"],
        {"day": "2021-02-03", "at": "01:02:03"},
    )


BAD = "no text"
"""A text in whose place bytes are written that are none."""


def write_avro(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows of ``OF_AVRO`` as they are stored."""
    types = {name: kind for name, (kind, _) in OF_AVRO.items()}
    told = json.dumps(schema(types)).encode()
    # Written by types without their logic, which the file then gets.
    stored = schema({name: plain(kind) for name, kind in types.items()})
    data = io.BytesIO()
    fastavro.writer(data, stored, rows, codec="null")
    known = fastavro.reader(io.BytesIO(data.getvalue())).metadata["avro.schema"].encode()
    content = data.getvalue().replace(BAD.encode(), b"\xff" * len(BAD))
    at = content.index(known) - len(number(len(known)))
    after = content[at + len(number(len(known))) + len(known) :]
    path.write_bytes(content[:at] + number(len(told)) + told + after)


def schema(types: dict[str, Any]) -> Any:
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    return {"type": "record", "name": "r", "fields": fields}


def plain(kind: Any) -> Any:
    """A type without its logic."""
    return {k: v for k, v in kind.items() if k != "logicalType"} if isinstance(kind, dict) else kind


def number(value: int) -> bytes:
    """A number as Avro writes it."""
    data = io.BytesIO()
    fastavro.schemaless_writer(data, {"type": "long"}, value)
    return data.getvalue()
