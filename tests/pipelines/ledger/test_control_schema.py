"""The version of the control tables: created, upgraded, refused."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipelines.cli.main import main
from pipelines.ledger.control_schema import create_control_tables
from schemas.control_upgrades import FIRST_VERSION
from schemas.control_version_tables import CONTROL_VERSION
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from schemas.specification.reading import read_specification
from schemas.specification.root import Specification
from tests.support.databases.as_role import ROLE, as_role
from tests.support.databases.two_databases import HEADER, TwoDatabases

VERSION_1 = Path(__file__).with_name("control_version_1.sql").read_text(encoding="utf-8")

SPECIFICATION = "tables: {wards: {from: wards, key: [id], copy: [id, name]}}\n"

TABLES = "CREATE TABLE wards (id int PRIMARY KEY, name text NOT NULL)"

EACH_VERSION = list(range(FIRST_VERSION + 1, CONTROL_VERSION + 1))
"""The versions that an upgrade of the first tables leads through."""

VERBS = {
    "migrate": ["migrate", "SPEC"],
    "plan": ["plan", "SPEC"],
    "try": ["try", "SPEC", "wards", '{"id": 1, "name": "North"}'],
    "status": ["status", "SPEC"],
    "pause": ["pause", "SPEC"],
    "resume": ["resume", "SPEC"],
    "stop": ["stop", "SPEC"],
    "stop --emergency": ["stop", "SPEC", "--emergency", "--reason", "test"],
    "incidents list": ["incidents", "list", "SPEC"],
    "incidents check": ["incidents", "check", "SPEC"],
    "reset": ["reset", "SPEC", "--yes"],
    "rejects list": ["rejects", "list", "SPEC"],
    "rejects show": ["rejects", "show", "SPEC", "1"],
    "rejects replay": ["rejects", "replay", "SPEC"],
    "rejects discard": ["rejects", "discard", "SPEC", "--all", "--reason", "old", "--yes"],
    "rejects reopen": ["rejects", "reopen", "SPEC", "--all"],
    "rejects export": ["rejects", "export", "SPEC"],
    "codes import": ["codes", "import", "SPEC", "CODES"],
}


def test_new_control_tables_have_the_current_version(databases: TwoDatabases) -> None:
    specification = specified(databases)
    create_control_tables(specification)
    create_control_tables(specification)
    assert versions(databases) == [CONTROL_VERSION]


def test_upgraded_tables_have_the_shape_of_new_ones(databases: TwoDatabases) -> None:
    databases.target.run(VERSION_1)
    create_control_tables(specified(databases))
    create_control_tables(specified(databases, schema="fresh"))
    assert shape(databases, "migration") == shape(databases, "fresh")
    assert versions(databases) == EACH_VERSION


def test_the_schema_may_have_any_name(databases: TwoDatabases) -> None:
    schema = '"50%{off}"'
    script = VERSION_1.replace("migration.", f"{schema}.")
    databases.target.run(script.replace("SCHEMA migration", f"SCHEMA {schema}"))
    create_control_tables(specified(databases, "'50%{off}'"))
    versions = databases.target.values(f"SELECT version FROM {schema}.migration_schema ORDER BY 1")
    assert versions == EACH_VERSION


def test_other_tables_of_the_default_schema_are_left_alone(databases: TwoDatabases) -> None:
    databases.target.run(
        VERSION_1.replace("CREATE SCHEMA migration;", "").replace("migration.", "")
    )
    databases.target.run("CREATE TABLE migration_history (id int)")
    tables(databases)
    with as_role(databases) as others, others.target.another() as reader:
        databases.target.run(f"ALTER TABLE migration_history OWNER TO {ROLE}")
        reader.execute("BEGIN; TABLE migration_history")
        databases.migrate(SPECIFICATION, header=HEADER.replace(", control_schema: migration", ""))
    assert (
        databases.target.values("SELECT version FROM migration_schema ORDER BY 1") == EACH_VERSION
    )


def test_a_step_that_fails_leaves_the_tables_as_they_were(databases: TwoDatabases) -> None:
    databases.target.run(VERSION_1)
    before = shape(databases, "migration")
    databases.target.run(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'no' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE INDEX')"
        " EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(TransfuseError):
        create_control_tables(specified(databases))
    assert shape(databases, "migration") == before
    databases.target.run("DROP EVENT TRIGGER refuse")
    create_control_tables(specified(databases))
    assert versions(databases) == EACH_VERSION


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_tables_of_a_later_version(
    databases: TwoDatabases, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    specification = specified(databases)
    create_control_tables(specification)
    databases.target.run(
        f"INSERT INTO migration.migration_schema VALUES ({CONTROL_VERSION + 1}, '9.8.7')"
    )
    assert run(databases, VERBS[verb]) == ExitStatus.REFUSED
    told = capsys.readouterr().err
    assert f"of version {CONTROL_VERSION + 1}" in " ".join(told.split())
    assert "SYS-004" in told
    assert "Transfuse 9.8.7" in " ".join(told.split())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_upgrades_tables_of_an_earlier_version(
    databases: TwoDatabases, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.target.run(VERSION_1)
    specified(databases)
    assert run(databases, VERBS[verb]) in (ExitStatus.COMPLETE, ExitStatus.REFUSED)
    assert versions(databases) == EACH_VERSION
    assert "SYS-" not in capsys.readouterr().err


def test_a_role_that_does_not_own_the_tables_is_told_who_does(databases: TwoDatabases) -> None:
    tables(databases)
    databases.target.run(VERSION_1)
    with as_role(databases) as others:
        databases.target.run(
            f"GRANT USAGE ON SCHEMA migration TO {ROLE};"
            f"GRANT SELECT ON ALL TABLES IN SCHEMA migration TO {ROLE}"
        )
        others.write(SPECIFICATION)
        error = refusal(others)
    assert error.problems[0].code is ErrorCode.USER_002
    assert "only their owner postgres can" in error.problems[0].message
    assert "transfuse status" in error.problems[0].remedy
    assert databases.target.row("SELECT to_regclass('migration.migration_schema')") == (None,)


def test_a_role_may_read_the_version_as_soon_as_it_sees_the_schema(databases: TwoDatabases) -> None:
    create_control_tables(specified(databases))
    tables(databases)
    with as_role(databases) as others:
        databases.target.run(
            f"GRANT USAGE ON SCHEMA migration TO {ROLE};"
            f"GRANT SELECT ON migration.migration_jobs TO {ROLE}"
        )
        others.write(SPECIFICATION)
        assert run(others, VERBS["status"]) == ExitStatus.REFUSED
        assert refusal(others, "pause").problems[0].code is ErrorCode.USER_003
        databases.target.run("REVOKE SELECT ON migration.migration_schema FROM PUBLIC")
        problem = refusal(others, "pause").problems[0]
    assert problem.remedy == f"GRANT SELECT ON migration.migration_schema TO {ROLE};"


def test_two_upgrades_at_once_are_one(databases: TwoDatabases) -> None:
    databases.target.run(VERSION_1)
    specification = specified(databases)
    failed: list[BaseException] = []

    def upgrade() -> None:
        try:
            create_control_tables(specification)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert versions(databases) == EACH_VERSION


def test_tables_are_not_upgraded_while_one_of_their_jobs_runs(databases: TwoDatabases) -> None:
    databases.target.run(VERSION_1)
    databases.target.run(
        "INSERT INTO migration.migration_jobs"
        " (job_id, state, specification_sha256, specification, started_at)"
        " VALUES ('moved', 'running', '', '', now()), ('other', 'running', '', '', now())"
    )
    specified(databases)
    with databases.target.another() as holder:
        holder.execute("SELECT pg_advisory_lock(hashtextextended('transfuse/migration/other', 0))")
        problem = refusal(databases).problems[0]
    assert problem.code is ErrorCode.USER_003
    assert problem.message.endswith("run: 'other'")
    assert databases.target.row("SELECT to_regclass('migration.migration_schema')") == (None,)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE migration.migration_errors DROP COLUMN written_keys",
        "ALTER TABLE migration.migration_duplicates ADD COLUMN place int",
        "DROP TABLE migration.migration_group_findings",
        "CREATE TABLE migration.migration_written_rows (id bigint)",
    ],
)
def test_tables_of_no_known_shape_are_refused(databases: TwoDatabases, change: str) -> None:
    databases.target.run(f"{VERSION_1}; {change}")
    specified(databases)
    problem = refusal(databases).problems[0]
    assert problem.code is ErrorCode.SYS_004
    assert "have no version" in problem.message
    assert change.split("migration.")[1].split()[0].rstrip(";") in problem.message


def test_a_sites_own_table_of_decisions_stays_as_it_is(databases: TwoDatabases) -> None:
    databases.target.run(
        f"{VERSION_1}; DROP TABLE migration.code_mappings;"
        "CREATE TABLE migration.code_mappings (source_system text, target_system text,"
        " source_code text, target_code text)"
    )
    tables(databases)
    databases.migrate(SPECIFICATION)
    assert databases.target.values(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'migration'"
        " AND table_name = 'code_mappings' ORDER BY 1"
    ) == ["source_code", "source_system", "target_code", "target_system"]


def test_looking_at_tables_of_the_current_version_writes_nothing(databases: TwoDatabases) -> None:
    tables(databases)
    databases.migrate(SPECIFICATION)
    before = databases.target.row("SELECT pg_snapshot_xmax(pg_current_snapshot())")
    for verb in ("status", "rejects list", "pause"):
        run(databases, VERBS[verb])
    assert databases.target.row("SELECT pg_snapshot_xmax(pg_current_snapshot())") == before


def test_workers_of_earlier_runs_can_not_commit_after_an_upgrade(databases: TwoDatabases) -> None:
    databases.target.run(VERSION_1)
    databases.target.run(
        "INSERT INTO migration.migration_jobs"
        " (job_id, state, specification_sha256, specification, started_at, runs)"
        " VALUES ('moved', 'running', '', '', now(), 3), ('over', 'complete', '', '', now(), 3)"
    )
    create_control_tables(specified(databases))
    runs = "SELECT job_id, runs FROM migration.migration_jobs ORDER BY job_id"
    assert databases.target.rows(runs) == [("moved", 4), ("over", 3)]


def test_the_first_version_is_the_one_without_a_record() -> None:
    assert FIRST_VERSION == 1 < CONTROL_VERSION


def tables(databases: TwoDatabases) -> None:
    for database in (databases.legacy, databases.target):
        database.run(TABLES)
    databases.legacy.run("INSERT INTO wards VALUES (1, 'North'), (2, 'South')")


def specified(databases: TwoDatabases, schema: str = "migration") -> Specification:
    header = HEADER.replace("control_schema: migration", f"control_schema: {schema}")
    return read_specification(databases.write(SPECIFICATION, header), databases.variables)


def run(databases: TwoDatabases, words: list[str]) -> int:
    """Run a verb on the command line; tables and files that it needs are made where missing."""
    if databases.legacy.row("SELECT to_regclass('wards')") == (None,):
        tables(databases)
    codes = databases.folder / "codes.csv"
    codes.write_text("key,map,source_code,target_code\n", encoding="utf-8")
    files = {"SPEC": str(databases.folder / "specification.yaml"), "CODES": str(codes)}
    arguments = [files.get(word, word) for word in words]
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    try:
        return main([*arguments, *variables])
    except SystemExit as ended:
        return int(ended.code or 0)


def refusal(databases: TwoDatabases, verb: str = "status") -> TransfuseError:
    """Why a verb that looks at the job's row doesn't."""
    from pipelines.watch.control import pause
    from pipelines.watch.status import status

    specification = read_specification(databases.folder / "specification.yaml", databases.variables)
    with pytest.raises(TransfuseError) as raised:
        (status if verb == "status" else pause)(specification)
    assert raised.value.status is ExitStatus.REFUSED
    return raised.value


def versions(databases: TwoDatabases) -> list[int]:
    return databases.target.values("SELECT version FROM migration.migration_schema ORDER BY 1")


def shape(databases: TwoDatabases, schema: str) -> dict[str, list[tuple[object, ...]]]:
    """All that makes the tables of a schema what they are, by kind."""
    queries = {
        "columns": "SELECT table_name, column_name, data_type, udt_name, is_nullable,"
        " column_default, is_identity, identity_generation FROM information_schema.columns"
        " WHERE table_schema = '{}'",
        "indexes": "SELECT tablename, indexname, replace(indexdef, '{}.', '') FROM pg_indexes"
        " WHERE schemaname = '{}'",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = '{}'::regnamespace AND contype <> 'n'",
        "tables": "SELECT relname, relkind, relpersistence, relreplident, relacl::text"
        " FROM pg_class WHERE relnamespace = '{}'::regnamespace",
    }
    return {
        kind: sorted(
            tuple(str(value).replace(f"{schema}.", "") for value in row)
            for row in databases.target.rows(query.replace("{}", schema))
        )
        for kind, query in queries.items()
    }
