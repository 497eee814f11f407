"""A resumed run reads the same data as the first, or says that it doesn't."""

from __future__ import annotations

import pytest

from pipelines import migrate, read_specification
from schemas.catalog_reader import read_relation
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from schemas.specification.root import Specification
from tests.support.databases.two_databases import HEADER, TwoDatabases
from transforms.sources.postgres.base_tables import base_difference, base_state

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

    assert not migrate(given("visits")).already
    assert migrate(given("visits")).already
    with pytest.raises(TransfuseError) as raised:
        migrate(given("other"))
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


VIEWS = """
tables:
  steady: {from: steady_view, partition: id, key: [id], copy: [id, ward]}
  viewed: {from: viewed_view, partition: id, key: [id], copy: [id, ward]}
  queried: {from: {query: "TABLE queried"}, partition: id, key: [id], copy: [id, ward]}
  divided: {from: divided, partition: id, key: [id], copy: [id, ward]}
  redefined: {from: redefined_view, partition: id, key: [id], copy: [id, ward]}
  joined: {from: joined_view, partition: id, key: [id], copy: [id, ward]}
"""
NAMES = ("steady", "viewed", "queried", "divided", "redefined", "joined")


def test_what_is_behind_views_and_queries_is_named_and_not_mixed(databases: TwoDatabases) -> None:
    """As often as rows are counted: none of these changes has another number of rows."""
    for name in NAMES:
        table = f"CREATE TABLE {name} (id int PRIMARY KEY, ward text)"
        databases.target.run(table)
        if name == "divided":
            table += " PARTITION BY HASH (id); CREATE TABLE only_part PARTITION OF divided"
            table += " FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
        databases.legacy.run(
            f"{table}; INSERT INTO {name}"
            " SELECT i, repeat('w', 100) FROM generate_series(1, 2000) i"
        )
    databases.legacy.run(
        "CREATE VIEW steady_view AS TABLE steady;"
        "CREATE VIEW below AS TABLE viewed; CREATE VIEW viewed_view AS SELECT * FROM below;"
        "CREATE VIEW inner_view AS TABLE redefined;"
        "CREATE VIEW redefined_view AS SELECT * FROM inner_view;"
        "CREATE TABLE wards AS SELECT i AS id, repeat('n', 60) AS name"
        " FROM generate_series(1, 2000) i;"
        "CREATE VIEW joined_view AS"
        " SELECT j.id, ward || name AS ward FROM joined j LEFT JOIN wards w USING (id)"
    )
    databases.target.fill_up("steady", "new.id = 2000")
    for name in NAMES[1:]:
        databases.target.run(
            f"CREATE TRIGGER fills_up BEFORE INSERT ON {name} FOR EACH ROW"
            " EXECUTE FUNCTION fills_up()"
        )
    outcome = databases.migrate(VIEWS, header=SMALL, expected=ExitStatus.INCOMPLETE)
    for load in outcome.summary.tables.values():
        assert 0 < load.partitions_done < load.partitions
    for name in NAMES:
        databases.target.run(f"DROP TRIGGER fills_up ON {name}")
    databases.legacy.run(
        "UPDATE viewed SET ward = 'new' WHERE id = 7; UPDATE queried SET ward = 'new';"
        "UPDATE divided SET ward = 'new' WHERE id = 7;"
        "CREATE OR REPLACE VIEW inner_view AS SELECT id, upper(ward) AS ward FROM redefined;"
        "DELETE FROM wards WHERE id = 1000"
    )
    outcome = databases.migrate(VIEWS, header=SMALL, expected=ExitStatus.INCOMPLETE)
    told = {problem.where: problem for problem in outcome.problems}
    assert {problem.code for problem in told.values()} == {ErrorCode.SYS_005}
    for name, what in {
        "viewed": "rows of public.viewed, which public.viewed_view reads, were inserted or updated",
        "queried": "rows of public.queried, which the query reads, were inserted or updated",
        "divided": "rows of public.only_part, which public.divided reads, were",
        "redefined": "public.redefined_view, or a view that it reads, is defined otherwise",
        "joined": "public.wards, which public.joined_view reads, had 2000 rows and has 1999",
    }.items():
        assert what in told.pop(f"table {name}").message
        assert databases.target.row(f"SELECT count(*) < 2000 FROM {name}") == (True,)
    assert not told
    assert databases.target.row("SELECT count(*), count(DISTINCT id) FROM steady") == (2000, 2000)


NUMBERED = """
tables:
  by_day: {from: by_day, partition: number, source_key: number, copy: [number, id, pad]}
  by_key: {from: by_key, partition: number, source_key: number, copy: [number, id, pad]}
  ranked: {from: ranked, partition: id, source_key: id, key: [id], copy: [number, id, pad]}
"""


def test_rows_numbered_in_an_order_with_ties_are_read_at_once(databases: TwoDatabases) -> None:
    """Of what two sessions number differently, rows would be lost and others doubled."""
    numbered = "SELECT *, %s OVER (ORDER BY %s) AS number FROM visits"
    databases.legacy.run(
        "CREATE TABLE visits (id int PRIMARY KEY, day date, pad text);"
        "INSERT INTO visits SELECT i, date '2020-01-01' + i % 5, repeat('n', 100)"
        " FROM generate_series(1, 2000) i;"
        f"CREATE VIEW by_day AS {numbered % ('row_number()', 'day')} WHERE id <= 300;"
        f"CREATE VIEW by_key AS {numbered % ('row_number()', 'day DESC, id')};"
        f"CREATE VIEW ranked AS {numbered % ('rank()', 'day')}"
    )
    for name in ("by_day", "by_key", "ranked"):
        databases.target.run(f"CREATE TABLE {name} (number int, id int, pad text)")
    outcome = databases.migrate(NUMBERED, header=SMALL)
    (warning,) = (w for w in outcome.warnings if "alike" in w.message)
    assert "row_number() OVER" in warning.message
    assert warning.where == "source, public.by_day"
    assert outcome.summary.tables["by_day"].partitions == 1
    assert outcome.summary.tables["ranked"].partitions > 1
    assert outcome.summary.tables["by_key"].partitions > 1
    for name in ("by_key", "ranked"):
        assert databases.target.row(f"SELECT count(DISTINCT id) FROM {name}") == (2000,)


CHOSEN = {
    "latest": (
        "DISTINCT ON",
        "SELECT DISTINCT ON (ward) * FROM stays WHERE id <= 300 ORDER BY ward, day",
    ),
    "first": ("LIMIT", "SELECT * FROM stays ORDER BY day LIMIT 300"),
    "any": ("LIMIT", "SELECT * FROM stays LIMIT 300"),
    "last_of_each": (
        "LIMIT",
        "SELECT s.* FROM wards w CROSS JOIN LATERAL (SELECT * FROM stays WHERE ward = w.ward"
        " ORDER BY day DESC LIMIT 1) s WHERE w.ward <= 300",
    ),
    "latest_by_key": (
        "",
        "SELECT DISTINCT ON (ward) * FROM stays ORDER BY ward, day DESC, id",
    ),
    "first_by_key": ("", "SELECT * FROM stays ORDER BY day, id FETCH FIRST 2000 ROWS ONLY"),
    "last_of_each_by_key": (
        "",
        "SELECT s.* FROM wards w CROSS JOIN LATERAL (SELECT * FROM stays WHERE ward = w.ward"
        " ORDER BY day DESC, id LIMIT 1) s",
    ),
    "joined_by_keys": (
        "",
        "SELECT DISTINCT ON (s.ward, s.day) s.* FROM stays s JOIN wards w USING (ward)"
        " ORDER BY s.ward, s.day, s.id, w.ward",
    ),
    "distinct": ("", "SELECT DISTINCT ward, day, id, pad FROM stays"),
    "of_latest_day": (
        "",
        "SELECT * FROM stays WHERE day >= (SELECT day FROM stays ORDER BY day LIMIT 1)",
    ),
}


def test_rows_chosen_in_an_order_with_ties_are_read_at_once(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE wards (ward int PRIMARY KEY);"
        "CREATE TABLE stays (id int PRIMARY KEY, ward int NOT NULL, day date, pad text);"
        "INSERT INTO wards SELECT generate_series(0, 2000);"
        "INSERT INTO stays SELECT i, i % 2000, date '2020-01-01' + i % 5, repeat('n', 100)"
        " FROM generate_series(1, 4000) i;"
        + "".join(f'CREATE VIEW "{name}" AS {text};' for name, (_, text) in CHOSEN.items())
    )
    for name in CHOSEN:
        databases.target.run(f'CREATE TABLE "{name}" (id int, pad text)')
    loads = "".join(
        f"  {name}: {{from: {name}, partition: id, source_key: id, copy: [id, pad]}}\n"
        for name in CHOSEN
    )
    outcome = databases.migrate(f"tables:\n{loads}", header=SMALL)
    warnings = {
        str(w.where).removeprefix("source, public."): w.message
        for w in outcome.warnings
        if "alike" in w.message
    }
    expected = {name: clause for name, (clause, _) in CHOSEN.items() if clause}
    assert {name: text.partition(" depends")[0] for name, text in warnings.items()} == expected
    for name, load in outcome.summary.tables.items():
        assert (load.partitions == 1) == (name in expected), name


def test_tables_that_the_role_may_not_read_are_compared_by_what_a_view_gives(
    databases: TwoDatabases,
) -> None:
    role = "reads_views_alone"
    databases.legacy.run(
        "CREATE TABLE hidden (id int, ward text); INSERT INTO hidden VALUES (1, 'a'), (2, 'b');"
        "CREATE VIEW shown AS TABLE hidden;"
        f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role}; GRANT SELECT ON shown TO {role}"
    )
    try:
        with databases.legacy.another() as session:
            session.autocommit = False
            session.execute(f"SET ROLE {role}")
            relation = read_relation(session, "shown")
            assert relation is not None
            before = base_state(session, relation)
            assert before["bases"] == {"public.hidden": None}
            assert base_difference(session, relation, before, before) is None
            session.commit()
            databases.legacy.run("UPDATE hidden SET ward = 'c' WHERE id = 2")
            session.execute(f"SET ROLE {role}")
            why = base_difference(session, relation, before, base_state(session, relation))
            assert why == "public.shown gives other rows than it did"
    finally:
        databases.legacy.run(f"DROP OWNED BY {role}; DROP ROLE {role}")
