"""Sources that other tables inherit from: what holds for one of the tables doesn't for all."""

from __future__ import annotations

import pytest

from schemas.errors import ExitStatus
from tests.support.databases.two_databases import TwoDatabases

pytestmark = pytest.mark.slow


# Both tables count their rows from (0,1), and the key of the older one says nothing of the newer.
LEGACY = """
CREATE TABLE visits (id int {key}, ward text, updated date);
CREATE TABLE visits_2020 () INHERITS (visits);
INSERT INTO visits VALUES (1, 'A', '2019-01-01'), (2, NULL, '2019-01-01'), (3, 'C', '2019-01-01');
INSERT INTO visits_2020 VALUES (11, 'K', '2020-01-01'), (12, NULL, '2020-01-01'), (3, 'N', {last});
"""


@pytest.mark.parametrize("kind", ["sequence", "uuid5"])
def test_each_row_gets_a_key_of_its_own(databases: TwoDatabases, kind: str) -> None:
    databases.legacy.run(LEGACY.format(key="", last="'2020-01-01'"))
    databases.target.run(
        f"CREATE TABLE visits (id {'int' if kind == 'sequence' else 'uuid'} PRIMARY KEY,"
        " old int, ward text NOT NULL)"
    )
    databases.migrate(
        f"""
tables:
  visits:
    from: visits
    key: id
    copy: [ward]
    fields: {{id: {{generate: {kind}}}, old: {{from: id}}}}
"""
    )
    written = databases.target.rows("SELECT old, ward FROM visits ORDER BY ward")
    assert written == [(1, "A"), (3, "C"), (11, "K"), (3, "N")]
    errors = databases.errors("source_key, rule_id")
    assert [rule for _, rule in errors] == ["ward.required"] * 2
    assert len({key for key, _ in errors}) == 2


def test_a_primary_key_leaves_duplicates_among_the_inheriting(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY.format(key="PRIMARY KEY", last="'2020-01-01'"))
    databases.target.run("CREATE TABLE visits (id int PRIMARY KEY, ward text NOT NULL)")
    databases.migrate(
        """
tables:
  visits:
    from: visits
    key: id
    copy: [id, ward]
    duplicates: {keep: last, order: updated}
"""
    )
    written = databases.target.rows("SELECT id, ward FROM visits ORDER BY id")
    assert written == [(1, "A"), (3, "N"), (11, "K")]
    assert ("DATA-004", "key.duplicate", "3") in databases.errors("error_code, rule_id, target_key")


def test_a_primary_key_names_no_source_row_for_made_keys(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY.format(key="PRIMARY KEY", last="NULL"))
    databases.target.run("CREATE TABLE visits (id int PRIMARY KEY, ward text)")
    error = databases.refused(
        """
tables:
  visits:
    from: visits
    source_key: id
    key: id
    copy: [ward]
    fields: {id: {generate: sequence}}
"""
    )
    assert "stand for several rows" in str(error)
    assert error.status is ExitStatus.REFUSED


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize(
    "recent",
    ["PARTITION OF stays FOR VALUES FROM (100) TO (MAXVALUE)", "() INHERITS (stays)"],
    ids=["partition", "inherits"],
)
def test_a_target_and_a_part_of_it(databases: TwoDatabases, recent: str, drops: bool) -> None:
    """The count of the whole includes the part, whichever load has written its rows."""
    databases.legacy.run(
        "CREATE TABLE old AS SELECT i AS id FROM generate_series(91, 120) i;"
        "CREATE TABLE new AS SELECT i AS id FROM generate_series(121, 130) i"
    )
    whole = "PARTITION BY RANGE (id)" if "PARTITION" in recent else ""
    databases.target.run(
        f"CREATE TABLE stays (id int NOT NULL) {whole}; CREATE TABLE part {recent}"
    )
    if whole:
        databases.target.run("CREATE TABLE rest PARTITION OF stays DEFAULT")
    if drops:
        databases.target.run("CREATE TABLE other (id int); INSERT INTO part VALUES (1000)")
        databases.migrate("tables: {a: {from: old, into: other, copy: [id]}}\n", job="earlier")
        # Something else than a row of the job sets it off, as another session would.
        databases.target.run(
            "CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM part WHERE id = 125; RETURN NULL; END $$;"
            "CREATE TRIGGER t AFTER UPDATE ON migration.migration_partitions"
            " EXECUTE FUNCTION drops()"
        )
    specification = """
tables:
  whole: {from: old, into: stays, copy: [id]}
  part: {from: new, into: part, copy: [id]}
"""
    expected = ExitStatus.OUT_OF_BALANCE if drops else ExitStatus.COMPLETE
    outcome = databases.migrate(specification, expected=expected)
    assert [p.where for p in outcome.problems] == ["table public.stays"] * drops
    assert databases.target.row("SELECT count(*) FROM stays") == (40,)


def test_a_whole_that_is_planned_anew_when_its_part_is_there(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE old AS SELECT i AS id FROM generate_series(1, 20) i;"
        "CREATE TABLE new AS SELECT i AS id FROM generate_series(121, 130) i"
    )
    databases.target.run(
        "CREATE TABLE stays (id int NOT NULL) PARTITION BY RANGE (id);"
        "CREATE TABLE part PARTITION OF stays FOR VALUES FROM (100) TO (MAXVALUE);"
        "CREATE TABLE rest PARTITION OF stays DEFAULT"
    )
    databases.target.fill_up("rest")
    specification = """
tables:
  whole: {from: old, into: stays, copy: [id]}
  part: {from: new, into: part, copy: [id]}
"""
    databases.migrate(specification, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("rest")
    databases.legacy.run("INSERT INTO old VALUES (21)")
    databases.migrate(specification)
    assert databases.target.row("SELECT count(*) FROM stays") == (31,)
