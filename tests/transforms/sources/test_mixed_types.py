"""Files of one pattern, and relations of one list, whose columns have types of several widths."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipelines.cli.main import main
from tests.support.databases.two_databases import HEADER, TwoDatabases

FILES = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: %s}")

UTC, BERLIN = pa.timestamp("ms", tz="UTC"), pa.timestamp("us", tz="Europe/Berlin")
MOMENT = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

WIDER: dict[str, tuple[pa.Array, pa.Array, str, list[str | None]]] = {
    "whole": (pa.array([1], pa.int32()), pa.array([2**63 - 1], pa.int64()), "int8", ["1", None]),
    "small": (pa.array([-5], pa.int16()), pa.array([7], pa.uint8()), "text", ["-5", "7"]),
    "unsigned": (
        pa.array([2**64 - 1], pa.uint64()),
        pa.array([-(2**63)], pa.int64()),
        "numeric",
        [str(2**64 - 1), str(-(2**63))],
    ),
    "digits": (
        pa.array([Decimal("1.10")], pa.decimal128(10, 2)),
        pa.array([Decimal("9999999999.99")], pa.decimal128(12, 2)),
        "text",
        ["1.10", "9999999999.99"],
    ),
    "scale": (
        pa.array([Decimal("1.1")], pa.decimal128(38, 1)),
        pa.array([Decimal("0.123456789")], pa.decimal256(60, 30)),
        "text",
        ["1.1", "0.123456789" + "0" * 21],
    ),
    "counted": (
        pa.array([12], pa.int64()),
        pa.array([Decimal("-0.50")], pa.decimal128(5, 2)),
        "text",
        ["12", "-0.50"],
    ),
    "measured": (pa.array([16777217], pa.int32()), pa.array([0.1]), "float8", ["16777217", "0.1"]),
    "halves": (
        pa.array([0.5], pa.float32()),
        pa.array([0.1], pa.float64()),
        "float8",
        ["0.5", "0.1"],
    ),
    "moment": (pa.array([MOMENT], UTC), pa.array([MOMENT], BERLIN), "timestamptz", [None, None]),
    "note": (
        pa.array(["ä"]).dictionary_encode(),
        pa.array(["b"], pa.large_string()),
        "text",
        ["ä", "b"],
    ),
    "empty": (pa.nulls(1), pa.array([date(2024, 1, 2)]), "date", [None, "2024-01-02"]),
    "nothing": (pa.array([7], pa.int64()), pa.nulls(1), "int4", ["7", None]),
    "list": (
        pa.array([[1, 2]], pa.list_(pa.int16())),
        pa.array([[2**40]], pa.large_list(pa.int64())),
        "int8[]",
        ["{1,2}", "{1099511627776}"],
    ),
    "raw": (
        pa.array([b"ab"], pa.binary(2)),
        pa.array([b"\x00"], pa.large_binary()),
        "bytea",
        ["\\x6162", "\\x00"],
    ),
}
WIDER["whole"] = (*WIDER["whole"][:3], ["1", str(2**63 - 1)])
WIDER["moment"] = (*WIDER["moment"][:3], ["2024-01-02 03:04:05+00"] * 2)


def prepare_wider(databases: TwoDatabases) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, (_, _, kind, _) in WIDER.items())
    databases.target.run(f"CREATE TABLE t (file text, {columns})")


def texts(databases: TwoDatabases) -> list[dict[str, Any]]:
    shown = ", ".join(f"'{name}', \"{name}\"::text" for name in WIDER)
    rows = databases.target.values(
        f"SELECT json_build_object('file', file, {shown}) FROM t ORDER BY file"
    )
    return list(rows)


@pytest.mark.parametrize("named", ["'?.parquet'", "[a.parquet, b.parquet]"])
def test_types_of_parquet_that_hold_each_other(databases: TwoDatabases, named: str) -> None:
    """In whichever order the files come."""
    prepare_wider(databases)
    for place, name in enumerate(("a", "b")):
        table = pa.table({column: case[place] for column, case in WIDER.items()})
        pa.parquet.write_table(table, databases.folder / f"{name}.parquet", store_schema=True)
    load = f"""
tables:
  t: {{from: {named}, copy: [{", ".join(WIDER)}], fields: {{file: {{from: _file}}}}}}
"""
    databases.migrate(load, header=FILES % "parquet")
    expected = [
        {"file": f"{file}.parquet", **{name: case[3][place] for name, case in WIDER.items()}}
        for place, file in enumerate(("a", "b"))
    ]
    assert texts(databases) == expected
    for one, other in (("a", "c"), ("b", "a"), ("c", "b")):
        (databases.folder / f"{one}.parquet").rename(databases.folder / f"{other}.parquet")
    databases.target.run("DROP SCHEMA migration CASCADE; TRUNCATE t")
    databases.migrate(load, header=FILES % "parquet")
    assert [{**row, "file": ""} for row in reversed(texts(databases))] == [
        {**row, "file": ""} for row in expected
    ]


AVRO: dict[str, tuple[tuple[Any, Any], tuple[Any, Any], str, list[str]]] = {
    "whole": (("int", 1), ("long", 2**40), "int8", ["1", str(2**40)]),
    "moment": (
        ({"type": "long", "logicalType": "timestamp-millis"}, MOMENT),
        ({"type": "long", "logicalType": "timestamp-micros"}, MOMENT),
        "timestamptz",
        ["2024-01-02 03:04:05+00"] * 2,
    ),
    "digits": (
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
            Decimal("1.10"),
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4},
            Decimal("2.2000"),
        ),
        "text",
        ["1.10", "2.2000"],
    ),
    "missing": (("null", None), (["null", "long"], 5), "int4", [None, "5"]),  # type: ignore[list-item]
    "list": (
        ({"type": "array", "items": "int"}, [1]),
        ({"type": "array", "items": "long"}, [2**40]),
        "int8[]",
        ["{1}", f"{{{2**40}}}"],
    ),
}


def test_types_of_avro_that_hold_each_other(databases: TwoDatabases) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (_, _, kind, _) in AVRO.items())
    databases.target.run(f"CREATE TABLE t (file text, {columns})")
    for place, file in enumerate(("a", "b")):
        fields = [{"name": name, "type": case[place][0]} for name, case in AVRO.items()]
        row = {name: case[place][1] for name, case in AVRO.items()}
        with (databases.folder / f"{file}.avro").open("wb") as stream:
            fastavro.writer(stream, {"type": "record", "name": "r", "fields": fields}, [row])
    databases.migrate(
        f"tables: {{t: {{from: '*.avro', copy: [{', '.join(AVRO)}],"
        " fields: {file: {from: _file}}}}",
        header=FILES % "avro",
    )
    shown = ", ".join(f"{name}::text" for name in AVRO)
    assert databases.target.rows(f"SELECT {shown} FROM t ORDER BY file") == [
        tuple(case[3][place] for case in AVRO.values()) for place in (0, 1)
    ]


APART: dict[str, tuple[pa.Array, pa.Array, str, str]] = {
    "a double beside a bigint": (
        pa.array([2**53 + 1]),
        pa.array([0.5]),
        "int8",
        "float8",
    ),
    "a zone beside none": (
        pa.array([MOMENT], UTC),
        pa.array([datetime(2024, 1, 2)]),
        "timestamptz",
        "timestamp",
    ),
    "a day beside a moment": (
        pa.array([date(2024, 1, 2)]),
        pa.array([datetime(2024, 1, 2)]),
        "date",
        "timestamp",
    ),
    "text beside a number": (pa.array(["1"]), pa.array([1]), "text", "int8"),
    "a boolean beside a number": (pa.array([True]), pa.array([1]), "bool", "int8"),
    "bytes beside text": (pa.array([b"a"]), pa.array(["a"]), "bytea", "text"),
}


def test_types_of_which_none_holds_the_other(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan names both files and both types, and to follow its advice is enough."""
    loads, apart = [], []
    for number, (one, other, first, second) in enumerate(APART.values()):
        for name, array in (("a", one), ("b", other)):
            table = pa.table({"v": array})
            pa.parquet.write_table(table, databases.folder / f"{name}{number}.parquet")
        databases.target.run(f"CREATE TABLE t{number} (v {first}, w {second})")
        loads.append(f'  t{number}: {{from: "?{number}.parquet", copy: [v]}}')
        apart += [
            f"  a{number}: {{from: a{number}.parquet, into: t{number}, copy: [v]}}",
            f"  b{number}: {{from: b{number}.parquet, into: t{number},"
            " fields: {w: {from: v}}}",
        ]
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    path = databases.write("\n".join(["tables:", *loads]) + "\n", header=FILES % "parquet")
    assert main(["plan", str(path), "--json", *variables]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert len(problems) == len(APART)
    for number, (problem, case) in enumerate(zip(problems, APART.values(), strict=True)):
        told = problem["message"]
        for word in (f"a{number}.parquet", f"b{number}.parquet", case[2], case[3]):
            assert word in told, problem
        assert "load" in problem["remedy"]
    databases.migrate("\n".join(["tables:", *apart]) + "\n", header=FILES % "parquet")


def test_decimals_of_floats_of_two_widths_are_decided_by_nobody(databases: TwoDatabases) -> None:
    """A real of 0.1 is 0.1 as text, and 0.10000000149011612 as a double's."""
    for name, kind in (("a", pa.float32()), ("b", pa.float64())):
        pa.parquet.write_table(
            pa.table({"v": pa.array([0.1], kind)}), databases.folder / f"{name}.parquet"
        )
    databases.target.run("CREATE TABLE t (v numeric)")
    load = "tables: {t: {from: '?.parquet', fields: {v: {%s}}}}"
    error = databases.refused(load % "from: v", header=FILES % "parquet")
    assert "in two ways" in error.problems[0].message
    databases.migrate(load % "sql: CAST(v AS DOUBLE)", header=FILES % "parquet")
    assert databases.target.values("SELECT v::text FROM t ORDER BY v") == [
        "0.1",
        "0.10000000149011612",
    ]


LISTED = (
    # The types of two tables, a value of each, the target's type, and what is written.
    ("int", "numeric(10,2)", "7", "1.50", "text", ["7", "1.50"]),
    ("smallint", "bigint", "-7", "4294967296", "bigint", ["-7", "4294967296"]),
    ("numeric(5,1)", "numeric(5,3)", "7.0", "1.505", "text", ["7.0", "1.505"]),
    ("int", "double precision", "7", "0.1", "double precision", ["7", "0.1"]),
    ("varchar(5)", "text", "ab", "abcdefg", "text", ["ab", "abcdefg"]),
    ("char(5)", "varchar(9)", "ab", "abc  ", "text", ["ab", "abc  "]),
    ("timestamptz(0)", "timestamptz", "2024-01-02 00:00+00", "2024-01-02 00:00:00.5+00",
     "timestamptz", ["2024-01-02 00:00:00+00", "2024-01-02 00:00:00.5+00"]),
)  # fmt: skip


def test_a_list_of_tables_with_types_of_several_widths(databases: TwoDatabases) -> None:
    loads = []
    for number, (one, other, first, second, wanted, _) in enumerate(LISTED):
        for name, kind, value in (("a", one, first), ("b", other, second)):
            databases.legacy.run(
                f"CREATE TABLE {name}{number} (id {kind} PRIMARY KEY, v {kind});"
                f"INSERT INTO {name}{number} VALUES ('{value}', '{value}')"
            )
        databases.target.run(f"CREATE TABLE t{number} (id text, v {wanted})")
        fields = "fields: {id: {system: source_key}}"
        for place, order in ((0, "ab"), (1, "ba")):
            named = ", ".join(f"{name}{number}" for name in order)
            into = f"into: t{number}, source_key: [id]"
            loads.append(f"  l{number}{place}: {{from: [{named}], {into}, copy: [v], {fields}}}")
    databases.migrate("\n".join(["tables:", *loads]) + "\n")
    for number, case in enumerate(LISTED):
        values = databases.target.values(f"SELECT v::text FROM t{number}")
        assert sorted(values) == sorted(case[5] * 2), case
        assert len(set(databases.target.values(f"SELECT id FROM t{number}"))) == 2


def test_rows_of_wider_keys_are_read_again(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key of one table may be none that the column of the other could hold."""
    databases.legacy.run(
        "CREATE TABLE a (id int PRIMARY KEY, v text, w1 int, w2 bigint);"
        "CREATE TABLE b (id numeric(10,2) PRIMARY KEY, v text, w1 int, w2 bigint);"
        "INSERT INTO a VALUES (7, 'x', 1, 4294967296); INSERT INTO b VALUES (1.50, '2', NULL, 5)"
    )
    databases.target.run("CREATE TABLE t (id numeric, v int); CREATE TABLE s (w bigint)")
    load = """
tables:
  t: {from: [a, b], source_key: [id], copy: [id, v]}
  s: {from: {table: a, unpivot: {columns: {w: "w{n}"}}}, copy: [w]}
"""
    databases.migrate(load)
    assert databases.target.values("SELECT w FROM s ORDER BY w") == [1, 2**32]
    assert databases.errors("source_key") == [("7",)]
    databases.legacy.run("UPDATE a SET v = '1'")
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    path = str(databases.folder / "specification.yaml")
    for key in ("7", "1.50"):
        assert main(["try", path, "t", "--key", key, *variables]) == 0, capsys.readouterr()
    assert main(["rejects", "replay", path, *variables]) == 0, capsys.readouterr()
    assert databases.target.rows("SELECT id::text, v FROM t ORDER BY id") == [("1.50", 2), ("7", 1)]
