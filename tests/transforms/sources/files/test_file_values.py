"""Values of Parquet and Avro files: as the file means them, or refused."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.support.databases.two_databases import HEADER, TwoDatabases

PARQUET = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: parquet}")
AVRO = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: avro}")


def migrate_file(databases: TwoDatabases, file: str, columns: dict[str, str]) -> dict[str, int]:
    """Copy the columns of a file into a table of these types; the violations by code."""
    named = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    databases.target.run(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({named})")
    load = f"tables: {{t: {{from: {file}, copy: [{', '.join(columns)}]}}}}"
    header = AVRO if file.endswith("avro") else PARQUET
    outcome = databases.migrate(load, header=header, job=Path(file).stem)
    return dict(outcome.summary.violations)


def write_parquet(databases: TwoDatabases, file: str, **columns: pa.Array) -> None:
    pa.parquet.write_table(pa.table(columns), databases.folder / file)


def write_avro(databases: TwoDatabases, name: str, kind: Any, values: list[Any]) -> None:
    fields = [{"name": "id", "type": "int"}, {"name": "v", "type": kind}]
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    with (databases.folder / name).open("wb") as file:
        fastavro.writer(file, schema, [{"id": i, "v": v} for i, v in enumerate(values)])


def test_lists_maps_and_bytes_of_parquet(databases: TwoDatabases) -> None:
    uuid = bytes(range(16))
    write_parquet(
        databases,
        "a.parquet",
        words=pa.array([["a", 'b,"c\\', None], [], None], pa.list_(pa.string())),
        numbers=pa.array([[1, None], [2], None], pa.large_list(pa.int32())),
        days=pa.array([[date(2024, 1, 2)], [], None]),
        amounts=pa.array([[0.1, 1e20], [], None]),
        pairs=pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int32())),
        id=pa.array([uuid, uuid, None], pa.binary(16)),
        parts=pa.array([[b"\xff"], [], None]),
    )
    types = {
        "words": "text[]",
        "numbers": "int[]",
        "days": "date[]",
        "amounts": "float8[]",
        "pairs": "jsonb",
        "id": "uuid",
        "parts": "bytea[]",
    }
    assert migrate_file(databases, "a.parquet", types) == {}, databases.errors()
    assert databases.target.rows(
        "SELECT words, numbers, days, amounts, pairs, id::text, parts FROM t"
    ) == [
        (
            ["a", 'b,"c\\', None],
            [1, None],
            [date(2024, 1, 2)],
            [0.1, 1e20],
            {"k": 1},
            "00010203-0405-0607-0809-0a0b0c0d0e0f",
            [b"\xff"],
        ),
        ([], [2], [], [], {}, "00010203-0405-0607-0809-0a0b0c0d0e0f", []),
        (None,) * 7,
    ]


def test_what_a_file_cannot_hand_over_exactly_is_rejected(databases: TwoDatabases) -> None:
    write_parquet(
        databases,
        "b.parquet",
        at=pa.array([3_600_000_000_000, 1500, None], pa.time64("ns")),
        pairs=pa.array([[], [], [("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int32())),
    )
    assert migrate_file(databases, "b.parquet", {"at": "time", "pairs": "json"}) == {"DATA-003": 2}
    assert databases.target.rows("SELECT at::text, pairs FROM t") == [("01:00:00", {})]
    messages = databases.target.values("SELECT message FROM migration.migration_errors ORDER BY id")
    assert "rounded or cut" in messages[0]
    assert "a key twice" in messages[1]


def int96(day: date, nanoseconds: int = 0) -> bytes:
    return struct.pack("<qi", nanoseconds, day.toordinal() + 1721425)


def test_moments_in_int96_at_any_distance(databases: TwoDatabases) -> None:
    """The last two are whole microseconds only where nanoseconds wrap around, or not even so."""
    wanted = [
        (date(9999, 12, 31), 86_399_999_999_000),
        (date(1, 1, 1), 0),
        (date(1582, 10, 4), 1000),
        (date(2023, 7, 1), 0),
        (date(9999, 12, 31), 616),
        (date(2023, 7, 1), 1),
    ]
    first = datetime(2001, 1, 1)
    given = [first + timedelta(days=place) for place in range(len(wanted))]
    path = databases.folder / "c.parquet"
    pa.parquet.write_table(
        pa.table({"at": pa.array(given, pa.timestamp("ns"))}),
        path,
        use_deprecated_int96_timestamps=True,
        use_dictionary=False,
        compression="none",
        write_statistics=False,
    )
    content = path.read_bytes()
    for old, (day, nanoseconds) in zip(given, wanted, strict=True):
        assert content.count(int96(old.date())) == 1
        content = content.replace(int96(old.date()), int96(day, nanoseconds))
    path.write_bytes(content)
    assert migrate_file(databases, "c.parquet", {"at": "timestamp"}) == {"DATA-003": 2}
    assert databases.target.values('SELECT "at"::text FROM t ORDER BY 1') == [
        "0001-01-01 00:00:00",
        "1582-10-04 00:00:00.000001",
        "2023-07-01 00:00:00",
        "9999-12-31 23:59:59.999999",
    ]


UNIONS: dict[str, tuple[Any, str, list[Any], list[str | None]]] = {
    "words": (["null", "string", "int"], "text", ["Smith", 5, None], ["Smith", "5", None]),
    "answers": (["string", "boolean"], "text", ["x", True], ["x", "true"]),
    "counts": (["string", "int"], "int", ["12", 5], ["12", "5"]),
    "documents": (["string", "int"], "jsonb", ["Smith", 5], ['"Smith"', "5"]),
    "whole": (["int", "long"], "bigint", [1, 2**40], ["1", str(2**40)]),
    "mixed": (
        ["int", "long", "double"],
        "numeric",
        [1, 2**40, 1.5, 1e20],
        ["1", str(2**40), "1.5", "1" + "0" * 20],
    ),
    "halves": (["null", "int", "double"], "float8", [1, 0.1, None], ["1", "0.1", None]),
    "moments": (
        {"type": "long", "logicalType": "timestamp-nanos"},
        "timestamptz",
        [1_577_836_800_000_001_000],
        ["2020-01-01 00:00:00.000001+00"],
    ),
    "tags": ({"type": "array", "items": "string"}, "text[]", [["a", "b,"], []], ['{a,"b,"}', "{}"]),
    "uuids": (
        {"type": "fixed", "name": "u", "size": 16},
        "uuid",
        [bytes(16)],
        ["00000000-0000-0000-0000-000000000000"],
    ),
}


def test_unions_and_lists_of_avro(databases: TwoDatabases) -> None:
    loads = []
    for name, (kind, wanted, values, _) in UNIONS.items():
        write_avro(databases, f"{name}.avro", kind, values)
        databases.target.run(f"CREATE TABLE {name} (id int, v {wanted})")
        loads.append(f"  {name}: {{from: {name}.avro, copy: [id, v]}}")
    databases.migrate("\n".join(["tables:", *loads]) + "\n", header=AVRO)
    for name, (_, _, _, expected) in UNIONS.items():
        assert databases.target.values(f"SELECT v::text FROM {name} ORDER BY id") == expected, name


REFUSED: dict[str, tuple[Any, list[Any], str]] = {
    "bytes": ("bytes", ["Müller".encode()], "text"),
    "union_of_bytes": (["string", "bytes"], ["a", b"b"], "text"),
    "union_of_days": (
        [{"type": "int", "logicalType": "date"}, "string"],
        [date(2024, 1, 2)],
        "text",
    ),
    "list_of_bytes": ({"type": "array", "items": "bytes"}, [[b"a"]], "text[]"),
}


def test_bytes_of_files_are_no_text(databases: TwoDatabases) -> None:
    """As Impala, Hive and old Spark write strings: without saying that they are."""
    loads = []
    for name, (kind, values, wanted) in REFUSED.items():
        write_avro(databases, f"{name}.avro", kind, values)
        databases.target.run(f"CREATE TABLE {name} (id int, v {wanted})")
        loads.append(f"  {name}: {{from: {name}.avro, copy: [id, v]}}")
    error = databases.refused("\n".join(["tables:", *loads]) + "\n", header=AVRO)
    assert [p.code.value for p in error.problems] == ["TRANS-004"] * len(REFUSED)
    write_parquet(databases, "p.parquet", id=pa.array([b"P1"]), name=pa.array(["Müller".encode()]))
    databases.target.run("CREATE TABLE p (id text PRIMARY KEY, name text, parts text[])")
    load = "tables: {p: {from: p.parquet, key: [id], copy: [id, name]}}"
    error = databases.refused(load, header=PARQUET)
    assert {p.code.value for p in error.problems} == {"TRANS-004"}
    assert "format: utf-8" in error.problems[0].remedy
    fields = "id: {from: id, type: text, format: utf-8}, name: {sql: decode(name)},"
    fields += " parts: {sql: \"string_split(decode(name), 'l')\"}"
    databases.migrate(
        f"tables: {{p: {{from: p.parquet, key: [id], fields: {{{fields}}}}}}}", header=PARQUET
    )
    assert databases.target.rows("TABLE p") == [("P1", "Müller", ["Mü", "", "er"])]


@pytest.mark.parametrize("child", ["ref: parents", "ref: generated"])
def test_bytes_do_not_refer_to_text(databases: TwoDatabases, child: str) -> None:
    databases.legacy.run(
        "CREATE TABLE parents (id text PRIMARY KEY); CREATE TABLE children (id int, up bytea)"
    )
    databases.target.run(
        "CREATE TABLE parents (id text PRIMARY KEY); CREATE TABLE children (id int, up text);"
        "CREATE TABLE generated (n int PRIMARY KEY, id text); CREATE TABLE other (id int, up int)"
    )
    into = "children" if child == "ref: parents" else "other"
    error = databases.refused(f"""
tables:
  parents: {{from: parents, key: [id], copy: [id]}}
  generated:
    from: parents
    source_key: id
    key: [n]
    copy: [id]
    fields: {{n: {{generate: sequence}}}}
  {into}: {{from: children, source_key: id, copy: [id], fields: {{up: {{from: up, {child}}}}}}}
""")
    assert any("in which encoding" in problem.message for problem in error.problems)
