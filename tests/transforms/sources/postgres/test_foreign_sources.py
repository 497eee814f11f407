"""Foreign tables as sources: no two sessions see them at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.databases.two_databases import HEADER, TwoDatabases, two_databases
from tests.support.jobs.small_hospital import run_json
from tests.support.servers.debian_server import debian_server

pytestmark = pytest.mark.slow

REMOTE = """
CREATE SEQUENCE asked;
CREATE VIEW growing AS SELECT i AS id, 'v' || i AS v
    FROM generate_series(1, 100 + (SELECT nextval('asked'))) i;
CREATE TABLE resting (id int, v text);
INSERT INTO resting SELECT i, repeat('v', 100) FROM generate_series(1, 6000) i;
"""

LEGACY = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER there FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname '{remote}', host '{host}');
CREATE USER MAPPING FOR postgres SERVER there OPTIONS (user 'postgres');
IMPORT FOREIGN SCHEMA public FROM SERVER there INTO public;
CREATE TABLE here (id int, v text);
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE part_here PARTITION OF parted FOR VALUES FROM (1) TO (10);
CREATE FOREIGN TABLE part_there PARTITION OF parted FOR VALUES FROM (10) TO (10000)
    SERVER there OPTIONS (table_name 'resting');
CREATE VIEW seen AS SELECT id, v FROM resting WHERE id > 5990;
"""

LOADS = """
tables:
  growing: {from: growing, into: grown, key: [id], copy: [id, v]}
  seen: {from: seen, into: kept, copy: [id, v]}
"""


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[TwoDatabases]:
    with debian_server() as server:
        if server is None:
            pytest.skip("no PostgreSQL of Debian is installed")
        with two_databases(server, tmp_path) as made, two_databases(server, tmp_path) as more:
            more.legacy.run(REMOTE)
            host = psycopg.conninfo.conninfo_to_dict(server)["host"]
            made.legacy.run(LEGACY.format(remote=more.legacy.name, host=host))
            made.target.run("CREATE TABLE grown (id int PRIMARY KEY, v text)")
            made.target.run("CREATE TABLE kept (id int, v text)")
            yield made
            made.legacy.hang_up()


def test_a_foreign_table_is_read_at_once_and_its_writers_break_no_balance(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.write(LOADS)
    plan = run_json(databases, capsys, ["plan", "SPEC"])
    assert [(p["code"], p["where"]) for p in plan["problems"]] == [
        ("SYS-004", "source, public.growing"),
        ("SYS-004", "source, public.seen"),
    ]
    assert "(public.resting)" in plan["problems"][1]["message"]
    assert {load["partitions"] for load in plan["tables"].values()} == {1}
    document = run_json(databases, capsys, ["migrate", "SPEC"])
    assert document["state"] == "complete"
    assert document["problems"][-1]["code"] == "DATA-005"
    read = document["tables"]["growing"]["read"]
    assert databases.target.values("SELECT count(*) FROM grown") == [read]


def test_one_too_large_for_a_partition_is_to_be_copied(databases: TwoDatabases) -> None:
    error = databases.refused(
        "tables: {kept: {from: parted, partition: id, copy: [id, v]}}\n",
        HEADER.replace("{retry:", "{memory: 20MB, retry:"),
    )
    assert "it can't be divided: its rows come from the foreign table" in error.problems[0].message
    assert error.problems[0].remedy.endswith('CREATE TABLE stored_rows AS TABLE "public"."parted";')
