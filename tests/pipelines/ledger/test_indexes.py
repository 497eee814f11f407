"""Secondary indexes that are built after the load."""

from __future__ import annotations

import pytest

from pipelines.cli.main import main
from pipelines.ledger.index_store import restore_indexes
from pipelines.run import graph, job_run
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.as_role import ROLE, as_role
from tests.support.databases.two_databases import HEADER, TwoDatabases

pytestmark = pytest.mark.slow


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


def killed_after_the_drop(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch, specification: str
) -> None:
    """As kill -9 would: nothing after the drop is run."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(graph, "build_graph", die)
        patched.setattr(job_run, "restore_indexes", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            databases.migrate(specification, header=AFTER)


def test_a_run_that_dies_leaves_them_stored_and_the_next_one_builds_them(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(databases)
    before = databases.target.rows(INDEXES)
    killed_after_the_drop(databases, monkeypatch, TABLES)
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


REFERRING = """
tables:
  wards: {from: wards, key: [id], copy: [id]}
  visits:
    from: visits
    key: [id]
    copy: [id]
    fields:
      ward: {from: ward, ref: wards}
      next: {from: next, ref: visits, deferred: true, on_missing: set_null}
      bed: {from: bed, ref: wards, on_missing: allow}
"""
KEYS = (
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY 1, 2"
)


def prepare_references(databases: TwoDatabases) -> None:
    """Visit 3 has a ward, and visit 4 a bed in one, that isn't there; visit 5 a floor."""
    databases.legacy.run(
        "CREATE TABLE wards (id int PRIMARY KEY); INSERT INTO wards VALUES (1), (2);"
        "CREATE TABLE visits (id int PRIMARY KEY, ward int, next int, bed int, floor int);"
        "INSERT INTO visits VALUES (1, 1, 2, 1, 1), (2, 2, 1, 1, 1), (3, 9, 1, 1, 1),"
        " (4, 1, 9, 9, 1), (5, 2, 1, 1, 9)"
    )
    databases.target.run(
        "CREATE TABLE wards (id int PRIMARY KEY); CREATE TABLE floors (id int PRIMARY KEY);"
        "INSERT INTO floors VALUES (1);"
        "CREATE TABLE visits (id int PRIMARY KEY, floor int REFERENCES floors,"
        ' ward int NOT NULL CONSTRAINT "The Ward" REFERENCES wards ON DELETE CASCADE DEFERRABLE,'
        " next int REFERENCES visits, bed int REFERENCES wards);"
        "CREATE INDEX ON visits (ward)"
    )


def kept_while_loading(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch, specification: str
) -> list[str]:
    """The foreign keys that are there when the first row is written."""
    seen: list[str] = []
    build = graph.build_graph

    def looking(*arguments: object) -> None:
        seen.extend(name for _, name, _ in databases.target.rows(KEYS))
        build(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(graph, "build_graph", looking)
        databases.migrate(specification, header=AFTER)
    return seen


def test_foreign_keys_that_references_have_checked_are_away_while_loading(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_references(databases)
    before = databases.target.rows(KEYS), databases.target.rows(INDEXES)
    specification = REFERRING.replace("copy: [id]\n    fields", "copy: [id, floor]\n    fields")
    kept = kept_while_loading(databases, monkeypatch, specification)
    assert kept == ["visits_bed_fkey", "visits_floor_fkey"]
    assert (databases.target.rows(KEYS), databases.target.rows(INDEXES)) == before
    assert databases.target.values("SELECT id FROM visits ORDER BY id") == [1, 2]
    assert databases.errors("source_key, error_code, rule_id") == [
        ("3", "DATA-002", "ward.ref"),
        ("4", "DATA-002", "visits_bed_fkey"),
        ("5", "DATA-002", "visits_floor_fkey"),
    ]


def test_foreign_keys_stay_where_a_trigger_could_change_what_was_checked(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_references(databases)
    databases.target.run(
        "CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN new.ward := new.ward * 7; RETURN new; END $$;"
        "CREATE TRIGGER moves BEFORE INSERT ON visits FOR EACH ROW WHEN (new.id = 2)"
        " EXECUTE FUNCTION moves()"
    )
    kept = kept_while_loading(databases, monkeypatch, REFERRING)
    assert kept == ["The Ward", "visits_bed_fkey", "visits_floor_fkey", "visits_next_fkey"]
    assert ("2", "The Ward") in databases.errors("source_key, rule_id")


def test_a_foreign_key_that_cannot_be_built_again_is_named_until_it_can(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_references(databases)
    before = databases.target.rows(KEYS)
    restore = restore_indexes

    def disturbed(*arguments: object) -> object:
        databases.target.run("UPDATE wards SET id = 20 WHERE id = 2")
        return restore(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(job_run, "restore_indexes", disturbed)
        outcome = databases.migrate(REFERRING, header=AFTER, expected=ExitStatus.INCOMPLETE)
    for _ in range(2):
        (problem,) = outcome.problems
        assert (problem.code, problem.where) == (
            ErrorCode.SYS_005,
            'foreign key public.visits "The Ward"',
        )
        assert "have no parent" in problem.message
        assert databases.target.rows(KEYS) != before
        outcome = databases.migrate(REFERRING, header=AFTER, expected=ExitStatus.INCOMPLETE)
    path = databases.folder / "specification.yaml"
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    main(["status", str(path), *variables])
    assert "1 indexes and foreign keys aren't built again yet" in capsys.readouterr().err
    databases.target.run("UPDATE wards SET id = 2 WHERE id = 20")
    databases.migrate(REFERRING, header=AFTER)
    assert databases.target.rows(KEYS) == before


def test_a_foreign_key_is_back_before_a_load_that_no_longer_checks_it(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_references(databases)
    before = databases.target.rows(KEYS)
    killed_after_the_drop(databases, monkeypatch, REFERRING)
    assert databases.target.rows(KEYS) != before
    unchecked = REFERRING.replace("ward: {from: ward, ref: wards}", "ward: {from: ward}")
    kept = kept_while_loading(databases, monkeypatch, unchecked)
    assert "The Ward" in kept
    assert ("3", "The Ward") in databases.errors("source_key, rule_id")
    assert databases.target.rows(KEYS) == before


@pytest.mark.parametrize("header", [AFTER, HEADER], ids=["after_load", "keep"])
def test_what_another_job_has_left_is_built_by_the_next(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    prepare_references(databases)
    before = databases.target.rows(KEYS), databases.target.rows(INDEXES)
    killed_after_the_drop(databases, monkeypatch, REFERRING)
    databases.migrate(REFERRING, header=header, job="another")
    assert (databases.target.rows(KEYS), databases.target.rows(INDEXES)) == before


def test_what_was_built_by_hand_is_taken_as_it_is(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_references(databases)
    before = databases.target.rows(KEYS), databases.target.rows(INDEXES)
    killed_after_the_drop(databases, monkeypatch, REFERRING)
    for (definition,) in databases.target.rows(
        "SELECT definition FROM migration.migration_indexes ORDER BY kind = 'foreign key'"
    ):
        databases.target.run(definition)
    databases.target.run("INSERT INTO visits (id, ward) SELECT 100, 1 FROM wards")
    databases.legacy.run("INSERT INTO visits VALUES (100, 1, NULL, NULL, NULL)")
    databases.migrate(REFERRING, header=AFTER)
    assert (databases.target.rows(KEYS), databases.target.rows(INDEXES)) == before
    assert databases.target.row("SELECT count(*) FROM migration.migration_indexes") == (0,)


def test_keys_stay_where_placeholders_are_made(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A placeholder's other columns are filled without a look at their parents."""
    databases.legacy.run(
        "CREATE TABLE sites (id text PRIMARY KEY); INSERT INTO sites VALUES ('s');"
        "CREATE TABLE beds (id int PRIMARY KEY, site text); INSERT INTO beds VALUES (1, 's');"
        "CREATE TABLE visits (id int PRIMARY KEY, bed int);"
        "INSERT INTO visits VALUES (1, 1), (2, 9)"
    )
    databases.target.run(
        "CREATE TABLE sites (id text PRIMARY KEY);"
        "CREATE TABLE beds (id int PRIMARY KEY, site text NOT NULL REFERENCES sites);"
        "CREATE TABLE visits (id int PRIMARY KEY, bed int REFERENCES beds)"
    )
    kept = kept_while_loading(
        databases,
        monkeypatch,
        """
tables:
  sites: {from: sites, key: [id], copy: [id]}
  beds: {from: beds, key: [id], copy: [id], fields: {site: {from: site, ref: sites}}}
  visits:
    from: visits
    key: [id]
    copy: [id]
    fields: {bed: {from: bed, ref: beds, on_missing: placeholder}}
""",
    )
    assert kept == ["beds_site_fkey"]
    assert databases.target.rows("SELECT id, bed FROM visits") == [(1, 1)]


def test_what_the_role_could_not_build_again_stays(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_references(databases)
    before = databases.target.rows(KEYS)
    with as_role(databases) as by_role:
        by_role.target.run(
            f"ALTER TABLE visits OWNER TO {ROLE}; REVOKE REFERENCES ON wards FROM {ROLE};"
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        )
        kept = kept_while_loading(by_role, monkeypatch, REFERRING)
        assert kept == ["The Ward", "visits_bed_fkey", "visits_floor_fkey"]
        assert databases.target.rows(KEYS) == before
