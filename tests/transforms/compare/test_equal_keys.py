"""Keys that only the target takes as equal: the order of ``duplicates`` decides among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.support.databases.two_databases import TwoDatabases, two_databases
from tests.support.jobs.small_hospital import run_json
from tests.support.runs.replays import Capsys
from tests.support.servers.debian_server import debian_server

pytestmark = pytest.mark.slow

EQUAL = {
    "interval": ("1 day", "24 hours", "2 days"),
    "interval[]": ("{1 mon}", "{30 days}", "{1 day}"),
    "jsonb": ('{"a": [1.0]}', '{"a": [1.00]}', '{"a": [1.01]}'),
    "numeric[]": ("{1.0,2}", "{1.00,2}", "{1.01,2}"),
    "numrange": ("[1.0,2]", "[1.00,2]", "[1.01,2]"),
    "float8[]": ("{0}", "{-0}", "{1}"),
    "char(4)[]": ("{a}", '{"a "}', "{b}"),
    "time": ("10:00", "10:00:00", "11:00"),
    "inet": ("10.0.0.1", "10.0.0.1/32", "10.0.0.2"),
    "macaddr": ("08:00:2b:01:02:03", "08002B:010203", "08:00:2b:01:02:04"),
    "amounts": ("{1.0}", "{1.00}", "{2}"),
}
"""Two texts of one key and another key, by the type of the target's column."""

OF_EXTENSIONS = {
    "text COLLATE nocase": ("a", "A", "b"),
    "nocase_name": ("a", "A", "b"),
    "text[] COLLATE nocase": ("{a,x}", "{A,X}", "{b}"),
    "citext": ("a", "A", "b"),
    "citext[]": ("{a,x}", "{A,X}", "{b}"),
}
"""``EQUAL`` for what the embedded server lacks."""

TYPES = "CREATE DOMAIN amounts AS numeric[];"

COLLATIONS = """
CREATE EXTENSION citext;
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN nocase_name AS text COLLATE nocase;
"""


@pytest.fixture(scope="module")
def with_icu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    """Databases of a server that has ICU and extensions."""
    with debian_server() as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here")
        with two_databases(uri, tmp_path_factory.mktemp("icu")) as databases:
            databases.target.run(COLLATIONS)
            yield databases


def test_the_order_decides_among_equal_keys(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.target.run(TYPES)
    check_order(databases, capsys, EQUAL)


def test_the_order_decides_under_collations_and_in_citext(
    with_icu: TwoDatabases, capsys: Capsys
) -> None:
    check_order(with_icu, capsys, OF_EXTENSIONS)


def check_order(
    databases: TwoDatabases, capsys: Capsys, kinds: Mapping[str, tuple[str, str, str]]
) -> None:
    """Migrates rows with equal keys; the third row comes last in the order."""
    loads = ["tables:"]
    for number, (kind, (one, other, third)) in enumerate(kinds.items()):
        databases.legacy.run(
            f"CREATE TABLE t{number} (id int PRIMARY KEY, k text, seen int);"
            f"INSERT INTO t{number} VALUES (1, '{one}', 1), (2, '{one}', 2), (3, '{other}', 3),"
            f" (4, '{third}', 0)"
        )
        databases.target.run(f"CREATE TABLE t{number} (k {kind} PRIMARY KEY, id int)")
        loads.append(
            f"  t{number}: {{from: t{number}, key: [k], copy: [k, id],"
            " duplicates: {keep: last, order: [seen]}}"
        )
    databases.write("\n".join(loads) + "\n")
    planned = run_json(databases, capsys, ["plan", "SPEC", "--full"])["tables"]
    assert {load["rejected"] for load in planned.values()} == {2}
    databases.migrate("\n".join(loads) + "\n")
    arrived = {
        kind: databases.target.values(f"SELECT id FROM t{number} ORDER BY id")
        for number, kind in enumerate(kinds)
    }
    assert arrived == {kind: [3, 4] for kind in kinds}
    assert databases.errors() == sorted(
        (f"t{number}", key, "DATA-004", "key.duplicate", "duplicate")
        for number in range(len(kinds))
        for key in ("1", "2")
    )


def test_a_unique_key_of_the_source_that_the_target_takes_as_equal(with_icu: TwoDatabases) -> None:
    with_icu.target.run("CREATE TABLE a (k text COLLATE nocase PRIMARY KEY, id int)")
    with_icu.legacy.run(
        "CREATE TABLE a (k text PRIMARY KEY, id int); INSERT INTO a VALUES ('a', 1), ('A', 2)"
    )
    with_icu.target.run("DROP SCHEMA IF EXISTS migration CASCADE")
    with_icu.migrate(
        "tables: {a: {from: a, key: [k], copy: [k, id], duplicates: {keep: last, order: [id]}}}"
    )
    assert with_icu.target.rows("TABLE a") == [("A", 2)]
    assert with_icu.errors("source_key, reason") == [("a", "duplicate")]
