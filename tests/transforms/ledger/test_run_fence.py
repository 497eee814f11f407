"""What a worker of a former run has made of rows isn't taken when the job was started again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from pipelines import migrate, read_specification
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.support.runs.replays import (
    MENDED,
    OPEN,
    Capsys,
    assert_ledger_and_sink_agree,
    content,
    moved,
    replay,
)
from tests.support.waiting import LONGEST, wait_until
from transforms.commit.load_settlement import settle_load
from transforms.ledger.error_budgets import BrokenBudget, ErrorBudgets
from transforms.ledger.partition_progress import PartitionProgress
from transforms.ledger.violation_records import ViolationRecords
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.postgres.connections import connect

pytestmark = pytest.mark.slow

LEDGER = "SELECT state, error_code FROM migration.migration_partitions WHERE load = 'visits'"


@pytest.fixture
def context(databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch) -> RunContext:
    """That of a run which has left its last load open."""
    from pipelines.maps.run_contexts import run_context

    made: list[RunContext] = []

    def noted(*given: object) -> RunContext:
        made.append(run_context(*given))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr("pipelines.run.run_start.run_context", noted)
    prepare(databases)
    databases.migrate(SPECIFICATION, header=SMALL)
    databases.target.run(
        "UPDATE migration.migration_partitions SET state = 'planned' WHERE load = 'visits';"
        "UPDATE migration.migration_loads SET settled = false WHERE load = 'visits'"
    )
    return made[-1]


@pytest.mark.parametrize("former", [False, True])
def test_a_partition_is_claimed_by_the_last_run_alone(
    databases: TwoDatabases, context: RunContext, former: bool
) -> None:
    (first,) = databases.target.row(
        "SELECT min(partition_id) FROM migration.migration_partitions WHERE load = 'visits'"
    )
    partition = Partition("visits", first, "TRUE", 1)
    if former:
        databases.target.run("UPDATE migration.migration_jobs SET runs = runs + 1")
    with connect(databases.target.url) as target:
        ledger = WorkerLedger(target, context)
        assert ledger.loads.may_start("visits") is not former
        ledger.partitions.record_failure(partition, ErrorCode.CONN_001, "lost")
        failed = ("failed", "CONN-001") in databases.target.rows(LEDGER)
        assert failed is not former
        assert ledger.partitions.claim(partition, None) is not former


@pytest.mark.parametrize("former", [False, True])
def test_a_load_is_settled_by_the_last_run_alone(
    databases: TwoDatabases, context: RunContext, former: bool
) -> None:
    databases.target.run("UPDATE migration.migration_partitions SET state = 'done'")
    with connect(databases.target.url) as target:
        asking = replace(context, run=context.run - 1) if former else context
        assert settle_load(target, asking, "visits") is not former


@pytest.mark.parametrize("former", [False, True])
def test_rejected_rows_are_replayed_by_the_last_run_alone(
    databases: TwoDatabases, capsys: Capsys, monkeypatch: pytest.MonkeyPatch, former: bool
) -> None:
    """Here the job is started again when the replay reads its first rows."""
    moved(databases)
    databases.legacy.run(MENDED)
    before, rejected = content(databases), databases.target.rows(OPEN)

    read_rejected_keys = ViolationRecords.read_rejected_keys

    def asked(*given: Any) -> list[str]:
        if former:
            databases.target.run("UPDATE migration.migration_jobs SET runs = runs + 1")
        return read_rejected_keys(*given)

    monkeypatch.setattr(ViolationRecords, "read_rejected_keys", asked)
    replay(databases, capsys, status=3 if former else 0)
    assert (content(databases) == before) is former
    assert (databases.target.rows(OPEN) == rejected) is former
    assert_ledger_and_sink_agree(databases)


def test_a_replay_is_a_run_of_its_own(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    runs = "SELECT runs FROM migration.migration_jobs"
    (before,) = databases.target.row(runs)
    replay(databases, capsys)
    assert databases.target.row(runs) == (before + 1,)


def test_a_former_run_does_not_stop_the_present_one(
    databases: TwoDatabases, context: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is started again while its worker adds up what is done of the load."""

    def broken(*_: object) -> list[BrokenBudget]:
        databases.target.run("UPDATE migration.migration_jobs SET runs = runs + 1, wanted = 'run'")
        return [BrokenBudget("visits", None, 5, 9, 0)]

    monkeypatch.setattr(ErrorBudgets, "find_broken", broken)
    with connect(databases.target.url) as target:
        assert not WorkerLedger(target, context).loads.may_start("visits")
    assert databases.target.row("SELECT wanted FROM migration.migration_jobs") == ("run",)


def test_nothing_of_a_job_is_taken_by_one_of_the_same_name_in_new_control_tables(
    databases: TwoDatabases, context: RunContext
) -> None:
    databases.target.run("TRUNCATE people, visits, totals CASCADE; DROP SCHEMA migration CASCADE")
    anew = ["people", "totals"]
    databases.migrate(SPECIFICATION, header=SMALL, only=anew)
    (first,) = databases.target.row(
        "SELECT min(partition_id) FROM migration.migration_partitions WHERE load = 'visits'"
    )
    assert databases.target.row("SELECT runs FROM migration.migration_jobs") == (context.run,)
    with connect(databases.target.url) as target:
        ledger = WorkerLedger(target, context)
        assert not ledger.loads.may_start("visits")
        assert not ledger.partitions.claim(Partition("visits", first, "TRUE", 1), None)


CODES = """
maps: {icd: {}}
tables:
  conditions: {from: legacy, key: [id], copy: [id], fields: {code: {from: code, map: icd}}}
"""

DECISION = (
    "INSERT INTO migration.code_mappings (source_system, target_system, source_code, target_code)"
    " VALUES ('ICD9CM', 'ICD10CM', '25000', 'E1165')"
)

LAUNCHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND mode = 'ExclusiveLock'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

WAITS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def test_a_run_waits_for_what_a_former_one_is_storing_before_it_judges_by_it(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker commits codes while its launcher is killed and the site decides otherwise."""
    databases.legacy.run(
        "CREATE TABLE legacy (id int PRIMARY KEY, code text);"
        "INSERT INTO legacy SELECT i, '250.00' FROM generate_series(1, 50000) i"
    )
    databases.target.run("CREATE TABLE conditions (id int PRIMARY KEY, code text)")
    path = databases.write(CODES, SMALL)
    specification = read_specification(path, databases.variables)
    stores, goes_on = threading.Event(), threading.Event()

    record = PartitionProgress.record

    def held(partitions: PartitionProgress, *more: Any) -> None:
        if partitions.session.constants["run"] == 1:
            stores.set()
            assert goes_on.wait(LONGEST)
        record(partitions, *more)

    monkeypatch.setattr(PartitionProgress, "record", held)
    with ThreadPoolExecutor(2) as threads:
        former = threads.submit(migrate, specification)
        assert stores.wait(LONGEST)
        databases.target.run(LAUNCHERS)
        databases.target.run(DECISION)
        present = threads.submit(migrate, specification)
        wait_until(lambda: present.done() or databases.target.row(WAITS) != (0,))
        goes_on.set()
        assert former.exception() is not None or former.result().status is not ExitStatus.COMPLETE
        with pytest.raises(TransfuseError, match="which have been decided on since"):
            present.result()
    assert databases.target.rows("SELECT DISTINCT code FROM conditions") == [("E11.9",)]
