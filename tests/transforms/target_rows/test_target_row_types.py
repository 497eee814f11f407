"""Every PostgreSQL type with its odd values arrives unchanged, whichever way it goes."""

from __future__ import annotations

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from schemas.catalog import Column
from schemas.catalog_reader import read_relation
from schemas.specification.policies import WriteMode
from transforms.target_rows.write import TargetWriter

_DATES = [
    "4714-11-24 BC", "0001-12-31 BC", "0001-01-01", "1582-10-15", "1969-12-31", "1970-01-01",
    "2000-02-29", "9999-12-31", "10000-01-01", "5874897-12-31", "infinity", "-infinity",
]  # fmt: skip
_INSTANTS = [
    "4714-11-24 00:00:00 BC", "0001-12-31 23:59:59.999999 BC", "0001-01-01", "1969-12-31 23:59:59",
    "1970-01-01 00:00:00.000001", "2000-01-01", "1999-12-31 23:59:59.999999",
    "9999-12-31 23:59:59.999999", "10000-01-01", "294246-12-31 23:59:59.999999",
    "infinity", "-infinity",
]  # fmt: skip
_TEXTS = [
    "", " ", "NULL", "null", "\\N", "\\.", "a\n\\.\nb", '"', '""', "'", "a,b", "tab\there",
    "\r", "\n", "line\r\nline", "\\", "\x01\x7f", "ä漢\U0001f9ea", "é", "x" * 300_000,
]  # fmt: skip
_FLOATS = ["0", "-0", "NaN", "Infinity", "-Infinity", "0.1", "1e-45", "3.4028235e38", "16777216"]

TYPES: dict[str, list[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "0", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": _FLOATS,
    "double precision": [*_FLOATS, "5e-324", "1.7976931348623157e308", "123456789.12345679"],
    "text": _TEXTS,
    "varchar": _TEXTS,
    "varchar(5)": ["", "abcde", "äöüß漢"],
    "char(5)": ["", "ab", "abcde"],
    "bpchar": ["ab  ", ""],
    "name": ["", "x" * 63],
    '"char"': ["a", ""],
    "date": _DATES,
    "timestamp": _INSTANTS,
    "timestamp(3)": ["2000-01-01 00:00:00.123", "infinity"],
    "timestamptz": [*_INSTANTS, "2020-03-29 02:30:00+02"],
    "time": ["00:00:00", "23:59:59.999999", "24:00:00"],
    "timetz": ["24:00:00-15:59", "12:00:00.5+05:30"],
    "interval": ["1 year 2 mons -3 days 04:05:06.789", "-178000000 years", "0", "1 mon -1 day"],
    "interval year to month": ["3 years 2 mons"],
    "interval(2)": ["1 day 00:00:01.25"],
    "numeric": ["NaN", "Infinity", "-Infinity", "0", "1.500", "1e-16383", "9" * 1000, "-0.00"],
    "numeric(10,2)": ["12345678.90", "-0.01", "NaN"],
    "numeric(3,-2)": ["12300"],
    "money": ["-92233720368547758.08", "0.10"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "json": ["null", '{"a": [1, 2], "a":  "x\\n"}', '"\\u00e4"', "[]"],
    "jsonb": ["null", '{"b": 1.50, "a": "\\"q\\""}', '"\\\\."'],
    "jsonpath": ["$.a[*] ? (@ > 1)"],
    "bytea": ["\\x", "\\x00ff5c2e0a", "\\x" + "00" * 10_000],
    "bit(5)": ["10101"],
    "bit varying": ["", "1", "10" * 100],
    "bit varying(3)": ["", "101"],
    "inet": ["192.168.0.1/24", "::ffff:1.2.3.4", "10.0.0.1"],
    "cidr": ["10.0.0.0/8", "::/0"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "point": ["(1.5,-0)", "(NaN,Infinity)"],
    "line": ["{1,2,3}"],
    "lseg": ["[(0,0),(1,1)]"],
    "box": ["(1,1),(0,0)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "polygon": ["((0,0),(1,1),(1,0))"],
    "circle": ["<(0,0),1.5>"],
    "tsvector": ["'a':1A 'b''c':2", ""],
    "tsquery": ["'a' & !'b'"],
    "int4range": ["[1,5)", "empty", "(,)"],
    "tstzrange": ["[2020-01-01 00:00:00+00,infinity)"],
    "int4multirange": ["{[1,3),[5,9)}", "{}"],
    "integer[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={1,2}"],
    "text[]": ['{"",NULL,"NULL","a,b","{","\\"","\\\\",ä}', "{{{a}}}"],
    "varchar(3)[]": ["{abc,NULL}"],
    "date[]": ["{infinity,4714-11-24 BC}"],
    "mood": ["so so", 'it\'s "odd"', "ä"],
    "mood[]": ['{"so so",ä}'],
    "pair": ["(1,)", '(,"a ""b""")', "(,)"],
    "pair[]": ['{"(1,x)","(,)"}'],
    "positive": ["1", "2147483647"],
    "smaller": ["1", "9"],
    "short": ["", "abc"],
    "codes": ["{a,b}", "{}"],
    "day": ["4714-11-24 BC", "infinity", "2000-01-01"],
    "oid": ["0", "4294967295"],
    "pg_lsn": ["16/B374D848"],
    "xid": ["4294967295"],
    "txid_snapshot": ["10:20:10,14,15"],
    "regclass": ["pg_class"],
    "int2vector": ["1 2 3"],
}
_USER_TYPES = """
CREATE TYPE mood AS ENUM ('so so', 'it''s "odd"', 'ä');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN smaller AS positive CHECK (VALUE < 10);
CREATE DOMAIN short AS varchar(3);
CREATE DOMAIN codes AS text[];
CREATE DOMAIN day AS date NOT NULL;
"""
_WITHOUT_NULL = "day"


def _travelling(connection: psycopg.Connection, column: Column) -> pa.Array:
    """The values of ``origin`` as they travel: the server's integers, or its text."""
    kind = column.type.arrow
    if pa.types.is_date32(kind):
        spelled = "CASE WHEN isfinite(v) THEN v - date '1970-01-01' ELSE {} END"
        ends = "CASE v WHEN 'infinity' THEN 2147483647 ELSE -2147483647 END"
    elif pa.types.is_timestamp(kind):
        spelled = "CASE WHEN isfinite(v) THEN (extract(epoch FROM v) * 1000000)::int8 ELSE {} END"
        ends = "CASE v WHEN 'infinity' THEN 9223372036854775807 ELSE -9223372036854775807 END"
    else:
        spelled, ends = ("v" if column.type.is_native else "v::text"), ""
    value = f"CASE WHEN v IS DISTINCT FROM NULL THEN {spelled.format(ends)} END"
    found = connection.execute(f"SELECT {value} FROM origin ORDER BY n").fetchall()
    values = [row[0] for row in found]
    if pa.types.is_date32(kind):
        return pa.array(values, pa.int32()).view(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).view(kind)
    if pa.types.is_float32(kind):
        return pa.array([None if v is None else np.float32(v) for v in values], kind)
    return pa.array(values, kind)


# Each way through the writer: a further column, its value in every row but the last, and
# its value in the last row, which is refused where the two differ.
WAYS = {
    "binary": ("text", None, None),
    "csv": ("uuid", None, None),
    "staged": ("text CHECK (more <> 'bad')", None, "bad"),
    "staged as text": ("uuid", None, "bad"),
}


@pytest.mark.parametrize("type_name", TYPES)
def test_values_arrive_unchanged_whichever_way_they_go(
    connection: psycopg.Connection, type_name: str
) -> None:
    connection.execute(_USER_TYPES)
    connection.execute(f"CREATE TABLE origin (n int, v {type_name})")
    values: list[str | None] = [*TYPES[type_name]]
    if type_name != _WITHOUT_NULL:
        values.append(None)
    for n, value in enumerate(values):
        connection.execute("INSERT INTO origin VALUES (%s, %s)", [n, value])
    origin = connection.execute("SELECT n, v::text FROM origin ORDER BY n").fetchall()
    for way, (declared, good, last) in WAYS.items():
        connection.execute("DROP TABLE IF EXISTS goal")
        connection.execute(f"CREATE TABLE goal (n int, v {type_name}, more {declared})")
        table = read_relation(connection, "goal")
        assert table is not None
        moved = _travelling(connection, table.columns[1])
        # One more row, with the first value again, is the one that may be refused.
        numbers = pa.array(range(len(values) + 1), pa.int32())
        batch = pa.record_batch(
            [
                numbers,
                numbers,
                pa.concat_arrays([moved, moved[:1]]),
                pa.array([good] * len(values) + [last], pa.string()),
            ],
            names=["_ordinal", "n", "v", "more"],
        )
        writer = TargetWriter(table, ["n", "v", "more"], [], WriteMode.INSERT)
        outcome = writer.write(connection, batch)
        refused = outcome.refused.column("_ordinal").to_pylist()
        assert refused == ([] if good == last else [len(values)]), way
        assert outcome.written == len(numbers) - len(refused), way
        arrived = connection.execute(
            "SELECT n, v::text FROM goal WHERE n < %s ORDER BY n", [len(values)]
        ).fetchall()
        assert arrived == origin, way


@pytest.mark.parametrize("more", ["text", "uuid"])
@pytest.mark.parametrize(
    ("type_name", "value", "reason"),
    [
        ("text", "a\0b", "character_not_in_repertoire"),
        ("date", -2_440_589, "datetime_field_overflow"),
        ("date", 2_145_042_906, "datetime_field_overflow"),
        # These wrap around to both infinities of PostgreSQL, and to a date, if merely shifted.
        ("date", -(2**31) + 10_956, "datetime_field_overflow"),
        ("date", -(2**31) + 10_957, "datetime_field_overflow"),
        ("date", -(2**31), "datetime_field_overflow"),
        ("timestamp", -210_866_803_200_000_001, "datetime_field_overflow"),
        ("timestamptz", -(2**63) + 946_684_800_000_000 - 1, "datetime_field_overflow"),
        ("timestamptz", -(2**63) + 946_684_800_000_000, "datetime_field_overflow"),
        ("timestamp", -(2**63), "datetime_field_overflow"),
        ("name", "ä" * 32, "name_too_long"),
    ],
)
def test_what_no_server_holds_is_refused_and_not_altered(
    connection: psycopg.Connection, type_name: str, value: str | int, reason: str, more: str
) -> None:
    connection.execute(f"CREATE TABLE goal (v {type_name}, more {more})")
    table = read_relation(connection, "goal")
    assert table is not None
    kind = table.columns[0].type.arrow
    if isinstance(value, int):
        stored = pa.array([value, None], pa.int32() if kind == pa.date32() else pa.int64())
        values = stored.view(kind)
    else:
        values = pa.array([value, None], kind)
    ordinals = pa.array([4, 7], pa.int32())
    batch = pa.record_batch(
        [ordinals, values, pa.nulls(2, pa.string())], names=["_ordinal", "v", "more"]
    )
    outcome = TargetWriter(table, ["v", "more"], [], WriteMode.INSERT).write(connection, batch)
    assert outcome.written == 1
    assert outcome.refused.to_pylist() == [
        {"_ordinal": 4, "code": "DATA-003", "rule": f"v.{reason}", "field": "v",
         "reason": reason, "warning": False, "root_cause": None}
    ]  # fmt: skip
    assert connection.execute("SELECT v FROM goal").fetchall() == [(None,)]
