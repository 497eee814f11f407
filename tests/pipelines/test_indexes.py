"""Secondary indexes that are built after the load."""

from __future__ import annotations

import pytest

from pipelines import graph
from pipelines import migrate as migrating
from tests.pipelines.two_databases import HEADER, TwoDatabases

TABLES = """
tables:
  visits: {from: visits, key: [id], copy: [id, ward, code]}
"""
AFTER = HEADER.replace("migration}", "migration, indexes: after_load}")
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"


def prepare(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE visits (id int PRIMARY KEY, ward text, code text);"
        "INSERT INTO visits SELECT i, 'w' || i % 7, 'c' || i FROM generate_series(1, 500) i"
    )
    databases.target.run(
        "CREATE TABLE visits (id int PRIMARY KEY, ward text, code text UNIQUE);"
        'CREATE INDEX "Ward Index" ON visits (lower(ward)) WHERE ward IS NOT NULL;'
        "CREATE INDEX visits_code ON visits USING hash (code)"
    )


def test_indexes_are_as_before_and_were_away_while_loading(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(databases)
    before = databases.target.rows(INDEXES)
    seen: list[str] = []
    build = graph.build_graph

    def looking(*arguments: object) -> None:
        seen.extend(name for name, _ in databases.target.rows(INDEXES))
        build(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(graph, "build_graph", looking)
    databases.migrate(TABLES, header=AFTER)
    assert seen == ["visits_code_key", "visits_pkey"]
    assert databases.target.rows(INDEXES) == before
    assert databases.target.row("SELECT count(*) FROM migration.migration_indexes") == (0,)


def test_a_run_that_dies_leaves_them_stored_and_the_next_one_builds_them(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(databases)
    before = databases.target.rows(INDEXES)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        # As kill -9 would: nothing after the drop is run.
        patched.setattr(graph, "build_graph", die)
        patched.setattr(migrating, "restore_indexes", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            databases.migrate(TABLES, header=AFTER)
    assert databases.target.rows(INDEXES) != before
    databases.migrate(TABLES, header=AFTER)
    assert databases.target.rows(INDEXES) == before


def test_a_table_that_has_rows_keeps_its_indexes(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(databases)
    databases.target.run("INSERT INTO visits VALUES (0, 'w', 'c')")
    before = databases.target.rows(INDEXES)
    seen: list[object] = []
    build = graph.build_graph

    def looking(*arguments: object) -> None:
        seen.append(databases.target.rows(INDEXES))
        build(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(graph, "build_graph", looking)
    databases.migrate(TABLES, header=AFTER)
    assert seen == [before]


def test_an_index_stays_of_which_the_definition_is_not_all(databases: TwoDatabases) -> None:
    prepare(databases)
    databases.target.run(
        "DROP TABLE visits;"
        "CREATE TABLE visits (id int, ward text, code text) PARTITION BY RANGE (id);"
        "CREATE TABLE early PARTITION OF visits FOR VALUES FROM (0) TO (1000);"
        "CREATE INDEX by_ward ON visits (ward);"
        "CREATE TABLE halves (LIKE visits INCLUDING INDEXES) PARTITION BY RANGE (id);"
        "CREATE TABLE half PARTITION OF halves FOR VALUES FROM (0) TO (1000);"
        "CREATE TABLE marked (LIKE visits);"
        "CREATE INDEX by_id ON marked (id); CLUSTER marked USING by_id;"
        "CREATE INDEX described ON marked (ward); COMMENT ON INDEX described IS 'for the wards'"
    )
    indexes = (
        "SELECT indexrelid::regclass::text, indisvalid, indisclustered,"
        " obj_description(indexrelid, 'pg_class') FROM pg_index WHERE indrelid::regclass::text"
        " IN ('visits', 'early', 'halves', 'half', 'marked') ORDER BY 1"
    )
    before = databases.target.rows(indexes)
    databases.migrate(
        """
tables:
  visits: {from: visits, key: [id], copy: [id, ward, code]}
  half: {from: visits, key: [id], copy: [id, ward, code]}
  marked: {from: visits, key: [id], copy: [id, ward, code]}
""",
        header=AFTER,
    )
    assert databases.target.rows(indexes) == before
