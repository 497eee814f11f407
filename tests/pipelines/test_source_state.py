"""A resumed run reads the same data as the first, or says that it doesn't."""

from __future__ import annotations

import pytest

from pipelines.migrate import migrate
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from schemas.specification.reading import read_specification
from schemas.specification.root import Specification
from tests.pipelines.two_databases import HEADER, TwoDatabases

pytestmark = pytest.mark.slow


TABLES = """
tables:
  visits:
    from: visits
    key: [id]
    partition: id
    fields:
      id: {from: id}
      ward: {from: ward}
  notes: {from: notes, key: [id], copy: [id]}
"""
SMALL = HEADER.replace("attempts: 1, delay: 10ms}}", "attempts: 1, delay: 10ms}, memory: 2621440}")


VISITS = "CREATE TABLE visits (id int PRIMARY KEY, ward text)"
NOTES = "CREATE TABLE notes (id int PRIMARY KEY)"


def half_done(databases: TwoDatabases) -> None:
    """A job of which one partition is committed and another failed."""
    databases.legacy.run(
        f"{VISITS}; {NOTES};"
        "INSERT INTO visits SELECT i, repeat('w', 100) FROM generate_series(1, 2000) i;"
        "INSERT INTO notes VALUES (1)"
    )
    databases.target.run(f"{VISITS}; {NOTES}")
    databases.target.fill_up("visits", "new.id = 2000")
    outcome = databases.migrate(TABLES, header=SMALL, expected=ExitStatus.INCOMPLETE)
    visits = outcome.summary.tables["visits"]
    assert 0 < visits.partitions_done < visits.partitions
    databases.target.make_room("visits")


def test_an_unchanged_source_is_finished(databases: TwoDatabases) -> None:
    half_done(databases)
    databases.migrate(TABLES, header=SMALL)
    assert databases.target.row("SELECT count(*), count(DISTINCT id) FROM visits") == (2000, 2000)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("INSERT INTO visits VALUES (0, 'new')", "2001"),
        ("DELETE FROM visits WHERE id = 1", "1999"),
        ("UPDATE visits SET ward = 'other' WHERE id = 1", "updated"),
        ("DELETE FROM visits WHERE id = 1; INSERT INTO visits VALUES (5000, 'x')", "updated"),
        ("CLUSTER visits USING visits_pkey", "rewritten"),
        ("TRUNCATE visits", "has 0"),
        ("ALTER TABLE visits ALTER COLUMN id TYPE bigint", "rewritten"),
        (
            "CREATE TABLE v AS TABLE visits; DROP TABLE visits; ALTER TABLE v RENAME TO visits",
            "rewritten",
        ),
        ("ALTER TABLE visits RENAME TO v; CREATE VIEW visits AS TABLE v", "no longer the table"),
    ],
)
def test_a_changed_source_is_named_and_not_mixed(
    databases: TwoDatabases, change: str, told: str
) -> None:
    half_done(databases)
    before = databases.target.rows("SELECT * FROM visits ORDER BY id")
    databases.legacy.run(change)
    outcome = databases.migrate(TABLES, header=SMALL, expected=ExitStatus.INCOMPLETE)
    (problem,) = outcome.problems
    assert (problem.code.value, problem.where) == ("SYS-005", "table visits")
    assert told in problem.message
    assert databases.target.rows("SELECT * FROM visits ORDER BY id") == before


@pytest.mark.parametrize(
    ("change", "undone", "code"),
    [
        (
            "ALTER TABLE visits RENAME TO v",
            "ALTER TABLE v RENAME TO visits",
            ErrorCode.TRANS_004,
        ),
        (
            "ALTER TABLE visits RENAME COLUMN ward TO unit",
            "ALTER TABLE visits RENAME COLUMN unit TO ward",
            ErrorCode.TRANS_001,
        ),
    ],
)
def test_a_source_that_is_gone_is_named_until_it_is_back(
    databases: TwoDatabases, change: str, undone: str, code: ErrorCode
) -> None:
    half_done(databases)
    before = databases.target.rows("SELECT * FROM visits ORDER BY id")
    databases.legacy.run(change)
    with pytest.raises(TransfuseError) as raised:
        databases.migrate(TABLES, header=SMALL)
    assert raised.value.status is ExitStatus.INCOMPLETE
    told, what = raised.value.problems
    assert (told.code, what.code) == (ErrorCode.SYS_005, code)
    assert "tables.visits" in what.where
    assert databases.target.rows("SELECT * FROM visits ORDER BY id") == before
    databases.legacy.run(undone)
    databases.migrate(TABLES, header=SMALL)
    assert databases.target.row("SELECT count(*), count(DISTINCT id) FROM visits") == (2000, 2000)


def test_what_is_not_read_may_change(databases: TwoDatabases) -> None:
    half_done(databases)
    databases.legacy.run("ALTER TABLE visits ADD COLUMN bed int")
    databases.migrate(TABLES, header=SMALL)
    assert databases.target.row("SELECT count(*), count(DISTINCT id) FROM visits") == (2000, 2000)


def test_a_complete_job_needs_no_source(databases: TwoDatabases) -> None:
    databases.legacy.run(f"{VISITS}; {NOTES}; INSERT INTO visits VALUES (1, 'a')")
    databases.target.run(f"{VISITS}; {NOTES}")
    databases.migrate(TABLES)
    databases.legacy.run("DROP TABLE visits")
    assert databases.migrate(TABLES).already


def test_a_complete_job_is_not_that_of_other_variables(databases: TwoDatabases) -> None:
    specification = HEADER + "tables: {visits: {from: '${WARDS}', key: [id], copy: [id, ward]}}\n"
    databases.legacy.run(f"{VISITS}; CREATE TABLE other (LIKE visits)")
    databases.target.run(VISITS)
    path = databases.write(specification, "")

    def given(table: str) -> Specification:
        return read_specification(path, {**databases.variables, "WARDS": table})

    assert not migrate(given("visits"), path).already
    assert migrate(given("visits"), path).already
    with pytest.raises(TransfuseError) as raised:
        migrate(given("other"), path)
    assert raised.value.status is ExitStatus.REFUSED


def test_a_load_of_which_nothing_is_committed_is_planned_anew(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE visits (id int PRIMARY KEY, ward text);"
        "CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO visits VALUES (1, 'a')"
    )
    databases.target.run(
        "CREATE TABLE visits (id int PRIMARY KEY, ward text);"
        "CREATE TABLE notes (id int PRIMARY KEY)"
    )
    databases.target.fill_up("visits")
    databases.migrate(TABLES, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("visits")
    databases.legacy.run("INSERT INTO visits VALUES (2, 'b')")
    databases.migrate(TABLES)
    assert databases.target.values("SELECT id FROM visits ORDER BY id") == [1, 2]


def test_a_complete_job_stays_complete_when_its_tables_live_on(databases: TwoDatabases) -> None:
    databases.legacy.run(f"{VISITS}; {NOTES}; INSERT INTO visits VALUES (1, 'a')")
    databases.target.run(f"{VISITS}; {NOTES}")
    databases.migrate(TABLES)
    databases.target.run("INSERT INTO visits VALUES (2, 'written by the new application')")
    assert databases.migrate(TABLES).already
