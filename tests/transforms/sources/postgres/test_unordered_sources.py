"""Sources that give their rows in another order, or other values, whenever they are read."""

from __future__ import annotations

import pytest

from schemas.errors import ExitStatus
from tests.support.databases.two_databases import TwoDatabases

pytestmark = pytest.mark.slow


LEGACY = (
    "CREATE TABLE a (k int, n text, u int);"
    "INSERT INTO a SELECT i % 300, 'n' || i, i / 600 FROM generate_series(0, 999) i;"
)
# No function is volatile here, which the preflight would refuse: the time of the transaction gives
# each reading another order.
LATEST = """
tables:
  t: {from: %s, key: k, copy: [k, n], duplicates: {keep: last, order: u}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    ["v", '{query: "select * from a order by md5(n || now())"}', "a, partition: k", "divided"],
)
def test_each_key_has_one_winner_in_whatever_order_its_rows_come(
    databases: TwoDatabases, source: str
) -> None:
    databases.legacy.run(
        f"{LEGACY} CREATE VIEW v AS SELECT * FROM a ORDER BY md5(n || now());"
        "CREATE TABLE divided (LIKE a) PARTITION BY HASH (n);"
        "CREATE TABLE d1 PARTITION OF divided FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE d2 PARTITION OF divided FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO divided TABLE a"
    )
    databases.target.run("CREATE TABLE t (k int PRIMARY KEY, n text)")
    summary = databases.migrate(LATEST % source).summary
    assert (summary.tables["t"].written, summary.tables["t"].rejected) == (300, 700)
    databases.assert_same_rows("SELECT DISTINCT k FROM a", "SELECT k FROM t")
    latest = "SELECT k, max(u) FROM a GROUP BY k"
    databases.target.run("CREATE VIEW won AS SELECT k, substr(n, 2)::int / 600 AS u FROM t")
    databases.assert_same_rows(latest, "SELECT k, u FROM won")


def test_a_row_of_a_view_is_found_again_by_its_place(databases: TwoDatabases) -> None:
    databases.legacy.run(f"{LEGACY} CREATE VIEW v AS SELECT * FROM a ORDER BY random()")
    databases.target.run("CREATE TABLE t (k int, n text CHECK (n <> 'n77'))")
    databases.migrate("tables: {t: {from: v, copy: [k, n]}}")
    ((source_key,),) = databases.errors("source_key")
    partition, _, position = source_key.partition(":")
    assert partition == "000001"
    in_order = databases.legacy.values('SELECT n FROM a ORDER BY ROW(a.*)::text COLLATE "C"')
    assert in_order[int(position)] == "n77"


def test_a_source_whose_values_depend_on_chance_rejects_no_key_altogether(
    databases: TwoDatabases,
) -> None:
    databases.legacy.run(f"{LEGACY} CREATE VIEW v AS SELECT k, n, md5(n || now()) AS u FROM a")
    databases.target.run("CREATE TABLE t (k int PRIMARY KEY, n text)")
    outcome = databases.migrate(LATEST % "v", expected=ExitStatus.INCOMPLETE)
    assert "other rows than when duplicates were searched for" in str(outcome.problems[0])
    assert databases.target.values("SELECT count(*) FROM t") == [0]
