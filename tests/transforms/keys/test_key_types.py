"""Keys and references of every type that can be one: found, refused, deferred and updated."""

from __future__ import annotations

import pytest

from tests.support.databases.two_databases import TwoDatabases

pytestmark = pytest.mark.slow


KEYS = {
    "int2": ("1", "-32768", "9"),
    "int4": ("1", "2147483647", "9"),
    "int8": ("1", "-9223372036854775808", "9"),
    "numeric": ("1.50", "9999999999999999999999999999999999999999", "9"),
    "numeric(10,2)": ("1.50", "-99999999.99", "9"),
    "float4": ("0.1", "Infinity", "0.25"),
    "float8": ("0.1", "NaN", "9"),
    "text": ("a", "", " b'\"\\{},%"),
    "varchar(5)": ("a", "漢字", "b"),
    "char(5)": ("a", "b    ", "c"),
    "name": ("a", "漢", "b"),
    "bool": ("true", None, "false"),
    "date": ("2024-02-29", "infinity", "0044-03-15 BC"),
    "timestamp": ("2024-02-29 12:00:00.000001", "-infinity", "0044-03-15 12:00:00 BC"),
    "timestamp(0)": ("2024-02-29 12:00:00", "infinity", "1969-12-31 23:59:59"),
    "timestamptz": ("2024-02-29 12:00:00.000001+00", "infinity", "1969-12-31 23:59:59.9+00"),
    "time": ("12:00:00", "24:00:00", "00:00:00"),
    "timetz": ("12:00:00+01", "12:00:00-15:59:59", "11:00:00+00"),
    "interval": ("1 day", "-1 mons", "1 year"),
    "uuid": ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "ffffffff-ffff-ffff-ffff-ffffffffffff",
             "00000000-0000-0000-0000-000000000000"),
    "bytea": ("\\x00ff", "\\x", "\\x01"),
    "mood": ("sad", "so 'so'", "happy"),
    "percent": ("1", "100", "50"),
    "inet": ("10.0.0.1", "::1", "10.0.0.1/8"),
    "macaddr": ("08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"),
    "int4range": ("[1,5)", "empty", "(,)"),
    "bit(3)": ("101", "000", "111"),
    "pg_lsn": ("0/1", "FFFFFFFF/FFFFFFFF", "0/0"),
    "oid": ("1", "4294967295", "0"),
    "jsonb": ('{"a": 1}', "null", "[]"),
}  # fmt: skip
"""Two keys that are there (None: only one) and one that isn't, by type."""

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'so ''so''', 'happy');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
"""


def _quoted(text: str | None) -> str:
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def moved(shared_databases: TwoDatabases) -> TwoDatabases:
    """For each type a parent, children of it, a table that refers to itself, one to update."""
    legacy, target = [TYPES], [TYPES]
    loads = ["defaults: {blank: keep}", "tables:"]
    for number, (kind, (one, two, absent)) in enumerate(KEYS.items()):
        keys = [k for k in (one, two) if k is not None]
        parents = ", ".join(f"({_quoted(k)}::{kind})" for k in keys)
        children = ", ".join(
            f"({i}, {_quoted(k)}::{kind})" for i, k in enumerate((one, two, absent, None))
        )
        legacy.append(
            f"CREATE TABLE p{number} (k {kind}); INSERT INTO p{number} VALUES {parents};"
            f"CREATE TABLE c{number} (id int PRIMARY KEY, k {kind});"
            f"INSERT INTO c{number} VALUES {children};"
            f"CREATE TABLE s{number} (k {kind}, boss {kind});"
            f"INSERT INTO s{number} SELECT k, min(k::text) OVER ()::{kind} FROM p{number};"
            f"INSERT INTO s{number} VALUES ({_quoted(absent)}, {_quoted(absent)});"
        )
        target.append(
            f"CREATE TABLE p{number} (k {kind} PRIMARY KEY);"
            f"CREATE TABLE c{number} (id int PRIMARY KEY, k {kind} REFERENCES p{number});"
            f"CREATE TABLE s{number} (k {kind} PRIMARY KEY, boss {kind} REFERENCES s{number});"
            f"CREATE TABLE u{number} (k {kind} PRIMARY KEY, v text DEFAULT 'old');"
            f"INSERT INTO u{number} VALUES ({_quoted(one)}, 'old');"
            f"CREATE TABLE e{number} (k {kind} PRIMARY KEY);"
            f"INSERT INTO e{number} VALUES ({_quoted(one)});"
        )
        loads += [
            f"  p{number}: {{from: p{number}, key: [k], copy: [k]}}",
            f"  c{number}: {{from: c{number}, key: [id], copy: [id],"
            f" fields: {{k: {{from: k, ref: p{number}}}}}}}",
            f"  s{number}: {{from: s{number}, key: [k], copy: [k],"
            f" fields: {{boss: {{from: boss, ref: s{number}, deferred: true}}}}}}",
            f"  u{number}: {{from: p{number}, key: [k], write: upsert, copy: [k],"
            " fields: {v: {const: new}}}",
            f"  e{number}: {{from: p{number}, key: [k], write: skip_existing, copy: [k]}}",
        ]
    shared_databases.legacy.run(";".join(legacy))
    shared_databases.target.run(";".join(target))
    shared_databases.migrate("\n".join(loads) + "\n")
    return shared_databases


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_this_type(moved: TwoDatabases, kind: str) -> None:
    number = list(KEYS).index(kind)
    one, two, absent = KEYS[kind]
    rows = moved.target.rows

    def text(value: str | None) -> str:
        return str(moved.target.row(f"SELECT ({_quoted(value)}::{kind})::text")[0])

    keys = sorted(text(k) for k in (one, two) if k is not None)
    assert sorted(moved.target.values(f"SELECT k::text FROM p{number}")) == keys
    children = {0: text(one), 3: None} | ({} if two is None else {1: text(two)})
    if two is None:
        children[1] = None
    assert dict(rows(f"SELECT id, k::text FROM c{number}")) == children
    assert rows(
        "SELECT source_key, error_code, reason FROM migration.migration_errors"
        f" WHERE load = 'c{number}'"
    ) == [("2", "DATA-002", "missing_parent")]
    assert dict(rows(f"SELECT k::text, boss::text FROM s{number}")) == {
        **dict.fromkeys(keys, min(keys)),
        text(absent): text(absent),
    }
    assert dict(rows(f"SELECT k::text, v FROM u{number}")) == dict.fromkeys(keys, "new")
    assert sorted(moved.target.values(f"SELECT k::text FROM e{number}")) == keys
    assert rows(
        f"SELECT skipped_by FROM migration.migration_partitions WHERE load = 'e{number}'"
    ) == [({"existing": 1},)]
