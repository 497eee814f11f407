"""A run that ended in any way is continued by the next one, to the same end."""

from __future__ import annotations

import pytest

from pipelines import migrate, read_specification
from pipelines.cli.main import main
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from tests.support.databases.two_databases import Row, TwoDatabases, impatient
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.held_runs import (
    a_lock_is_awaited,
    gate,
    kill,
    running,
    someone_waits,
    wait_until,
    with_control_tables,
)

MOMENTS = {
    "while the first partition is written": ("people", "INSERT", "new.id = 1"),
    "between two partitions": ("people", "INSERT", "new.id = 2500"),
    "while references are settled": ("people", "UPDATE", "new.mother = 1002"),
    "in the second level": ("visits", "INSERT", "new.id = 3000"),
    "while violations are written": (
        "migration.migration_errors",
        "INSERT",
        "new.load = 'visits' AND new.source_key > '(20,'",
    ),
    "while the last partition is closed": (
        "migration.migration_partitions",
        "UPDATE",
        "new.load = 'totals' AND new.finished_at IS NOT NULL",
    ),
    "when the job is to be closed": (
        "migration.migration_jobs",
        "UPDATE",
        "new.state = 'complete'",
    ),
}


FAST = "while references are settled"


@pytest.mark.parametrize(
    "moment",
    [pytest.param(m, marks=[] if m == FAST else [pytest.mark.slow]) for m in MOMENTS],
)
def test_a_killed_run_is_continued_to_the_same_end(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]], moment: str
) -> None:
    prepare(databases)
    table, event, condition = MOMENTS[moment]
    if table.startswith("migration."):
        with_control_tables(databases)
    keeper = gate(databases, table, event, condition)
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        kill(process, databases)
    keeper.close()
    databases.target.run(f"DROP TRIGGER gate ON {table}")
    outcome = databases.migrate(SPECIFICATION, header=SMALL)
    assert outcome.summary.state == "complete"
    assert content(databases) == undisturbed


@pytest.mark.slow
def test_a_run_killed_after_its_last_commit_still_moves_the_sequences(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
) -> None:
    prepare(databases)
    with_control_tables(databases)
    gates = gate(
        databases, "migration.migration_loads", "UPDATE", "new.load = 'visits' AND new.settled"
    )
    with running(databases) as process, databases.target.another() as keeper:
        wait_until(process, lambda: someone_waits(databases))
        keeper.execute("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
        gates.close()
        settled = (
            "SELECT count(*) FROM migration.migration_loads WHERE settled AND job_id = 'moved'"
        )
        wait_until(process, lambda: databases.target.row(settled) == (3,))
        wait_until(process, lambda: a_lock_is_awaited(databases))
        kill(process, databases)
    databases.target.run("DROP TRIGGER gate ON migration.migration_loads")
    outcome = databases.migrate(SPECIFICATION, header=SMALL)
    assert outcome.summary.state == "complete"
    assert content(databases) == undisturbed


@pytest.mark.slow
def test_a_second_run_at_the_same_time_is_refused(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases)
    keeper = gate(databases, "people", "INSERT", "new.id = 1")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
        path = str(databases.folder / "specification.yaml")
        assert main(["migrate", path, *variables]) == ExitStatus.REFUSED
        assert "USER-003" in capsys.readouterr().err
        keeper.close()
        assert process.wait(timeout=60) == ExitStatus.COMPLETE
    assert databases.target.row("SELECT runs, state FROM migration.migration_jobs") == (
        1,
        "complete",
    )


@pytest.mark.slow
def test_children_of_a_load_that_failed_wait_for_the_next_run(databases: TwoDatabases) -> None:
    prepare(databases)
    databases.target.fill_up("people")
    outcome = databases.migrate(SPECIFICATION, header=SMALL, expected=ExitStatus.INCOMPLETE)
    tables = outcome.summary.tables
    assert (tables["people"].partitions_done, tables["people"].read) == (0, 0)
    assert (tables["visits"].partitions_done, tables["visits"].read) == (0, 0)
    assert tables["totals"].partitions_done == tables["totals"].partitions
    (problem,) = outcome.problems
    assert problem.code is ErrorCode.SYS_005
    assert problem.where == "table people, first partition 000001"
    assert databases.target.row(
        "SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM visits)"
    ) == (0, 0)
    databases.target.make_room("people")
    outcome = databases.migrate(SPECIFICATION, header=SMALL)
    assert outcome.summary.tables["visits"].accepted > 5000
    assert outcome.problems == ()


@pytest.mark.slow
def test_a_source_that_fails_is_read_when_it_is_mended(databases: TwoDatabases) -> None:
    view = "CREATE OR REPLACE VIEW shares AS SELECT id, 100 / ({}) AS share, note FROM stays"
    databases.legacy.run(
        "CREATE TABLE stays (id int PRIMARY KEY, note text);"
        "INSERT INTO stays SELECT i, repeat('n', 50) FROM generate_series(1, 5000) i;"
        + view.format("id - 2500")
    )
    databases.target.run(
        "CREATE TABLE shares (id int, share int, note text);"
        "CREATE TABLE keyed (id int PRIMARY KEY, share int);"
        "CREATE TABLE after (id int PRIMARY KEY REFERENCES keyed)"
    )
    specification = """
tables:
  shares: {from: shares, partition: id, copy: [id, share, note]}
  keyed: {from: shares, partition: id, key: [id], copy: [id, share]}
  after: {from: stays, key: [id], fields: {id: {from: id, ref: keyed}}}
"""
    outcome = databases.migrate(specification, header=SMALL, expected=ExitStatus.INCOMPLETE)
    tables = outcome.summary.tables
    assert tables["shares"].partitions_done == tables["shares"].partitions - 1 > 1
    assert tables["keyed"].read == tables["after"].read == 0
    assert {p.where.partition(",")[0] for p in outcome.problems} == {"table shares", "table keyed"}
    assert all(p.message.endswith("SQLSTATE 22012), in the source") for p in outcome.problems)
    databases.legacy.run(view.format("id + 2500"))
    assert databases.migrate(specification, header=SMALL).problems == ()
    databases.assert_same_rows(
        "SELECT id, 100 / (id + 2500) FROM stays", "SELECT id, share FROM keyed"
    )
    databases.assert_same_rows("SELECT id FROM stays", "TABLE after")
    assert databases.target.row("SELECT count(*), count(DISTINCT id) FROM shares") == (5000, 5000)


@pytest.mark.slow
def test_a_frozen_writer_holds_up_its_own_partition_alone(
    databases: TwoDatabases,
    undisturbed: dict[str, list[Row]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The ledger's row of a partition is locked by a session that does nothing any more."""
    prepare(databases)
    databases.migrate(SPECIFICATION, only=["totals"], header=SMALL)
    with databases.target.another() as frozen:
        frozen.execute("BEGIN")
        frozen.execute(
            "SELECT FROM migration.migration_partitions WHERE job_id = 'moved'"
            " AND load = 'people' AND partition_id = '000002' FOR UPDATE"
        )
        header = impatient(SMALL, seconds=2)
        outcome = databases.migrate(SPECIFICATION, header=header, expected=ExitStatus.INCOMPLETE)
        people = outcome.summary.tables["people"]
        assert people.partitions_done == people.partitions - 1
        assert "SYS-005 table people, partition 000002: another session holds a lock" in caplog.text
        frozen.execute("ROLLBACK")
    databases.migrate(SPECIFICATION, header=SMALL)
    assert content(databases) == undisturbed


def test_a_server_that_ends_the_session_that_makes_the_control_tables(
    databases: TwoDatabases, caplog: pytest.LogCaptureFixture
) -> None:
    """A lost connection is no missing right; it is tried again, and the job can be."""
    for database in (databases.legacy, databases.target):
        database.run("CREATE TABLE people (id int PRIMARY KEY)")
    databases.target.run(
        "CREATE FUNCTION lose() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$;"
        "CREATE EVENT TRIGGER lose ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA')"
        " EXECUTE FUNCTION lose()"
    )
    tables = "tables: {people: {from: people, copy: [id]}}"
    header = SMALL.replace("attempts: 1", "attempts: 2")
    with pytest.raises(TransfuseError) as raised:
        databases.migrate(tables, header=header)
    (problem,) = raised.value.problems
    assert (problem.code, problem.where) == (ErrorCode.CONN_004, "schema migration")
    assert raised.value.status is ExitStatus.INCOMPLETE
    assert "tried again" in caplog.text
    databases.target.run("DROP EVENT TRIGGER lose")
    databases.migrate(tables, header=header)


def test_control_tables_of_another_version(databases: TwoDatabases) -> None:
    for database in (databases.legacy, databases.target):
        database.run("CREATE TABLE people (id int PRIMARY KEY)")
    tables = "tables: {people: {from: people, copy: [id]}}"
    databases.migrate(tables)
    databases.target.run("ALTER TABLE migration.migration_jobs DROP decisions")
    path = databases.write(tables)
    with pytest.raises(TransfuseError) as raised:
        migrate(read_specification(path, databases.variables, "another"))
    (problem,) = raised.value.problems
    assert (problem.code, problem.where) == (ErrorCode.SYS_004, "schema migration")
    assert "migration_jobs has no decisions" in problem.message
    assert raised.value.status is ExitStatus.REFUSED
