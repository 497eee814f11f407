"""Which partitions may start, be taken and fail: the guards of exactly-once, asked directly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from schemas.control_tables import control_metadata
from schemas.errors import ErrorCode
from tests.support.databases.two_databases import Database, TwoDatabases
from tests.support.direct_calls.compiled_load import compile_one
from tests.support.direct_calls.empty_context import EMPTY_CONTEXT
from transforms.ledger.counts import Counts
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.partition import Partition
from transforms.model.run_context import ErrorBudget, RunContext

BEGUN = "2026-11-05T06:07:08+00:00"
FIRST = Partition("rows", "000001", "TRUE", 10)
KEYED = "key: [v], fields: {v: {from: v}}"
OPEN = "planned", None


@pytest.fixture
def target(databases: TwoDatabases) -> Database:
    """The target with the control tables of a job in its second run: one load, one partition."""
    database = databases.target
    url = database.url.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    control_metadata(None).create_all(engine)
    database.run(
        "INSERT INTO migration_jobs (job_id, state, specification, specification_sha256,"
        f" started_at, runs) VALUES ('job', 'running', '', '', '{BEGUN}', 2);"
        "INSERT INTO migration_loads (job_id, load, level, target_table, definition, source_rows,"
        " target_rows_before, compared) VALUES ('job', 'rows', 0, 'things', '', 10, 0, false);"
        "INSERT INTO migration_partitions (job_id, load, partition_id, predicate, planned_rows)"
        " VALUES ('job', 'rows', '000001', 'TRUE', 10)"
    )
    return database


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    program = compile_one(tmp_path, KEYED, {"v": "integer"}, {"v": "integer"})
    return replace(
        EMPTY_CONTEXT, run=2, begun=BEGUN, programs={"rows": program}, needs={"rows": ()}
    )


def state(target: Database) -> tuple[object, ...]:
    return target.row("SELECT state, error_code FROM migration_partitions")


def test_a_partition_is_taken_once(target: Database, context: RunContext) -> None:
    partitions = WorkerLedger(target.connection, context).partitions
    assert partitions.claim(FIRST, None)
    assert not partitions.claim(FIRST, None)
    assert state(target) == ("done", None)
    assert target.values("SELECT attempts FROM migration_partitions") == [1]


def test_a_claim_that_is_rolled_back_was_none(target: Database, context: RunContext) -> None:
    partitions = WorkerLedger(target.connection, context).partitions
    with target.connection.transaction(force_rollback=True):
        assert partitions.claim(FIRST, None)
    assert state(target) == OPEN
    assert partitions.claim(FIRST, None)


@pytest.mark.parametrize("other", [{"run": 1}, {"run": 3}, {"begun": "2026-11-05T06:07:09+00:00"}])
def test_another_run_takes_and_records_nothing(
    target: Database, context: RunContext, other: dict[str, object]
) -> None:
    ledger = WorkerLedger(target.connection, replace(context, **other))  # type: ignore[arg-type]
    assert not ledger.loads.may_start("rows", comparing=True)
    assert not ledger.partitions.claim(FIRST, None)
    ledger.partitions.record_failure(FIRST, ErrorCode.CONN_004, "lost")
    assert state(target) == OPEN


def test_a_failure_is_recorded_and_taken_back_by_a_claim(
    target: Database, context: RunContext
) -> None:
    partitions = WorkerLedger(target.connection, context).partitions
    partitions.record_failure(FIRST, ErrorCode.CONN_004, "lost")
    assert state(target) == ("failed", "CONN-004")
    assert partitions.claim(FIRST, None)
    assert state(target) == ("done", None)


def test_a_failure_does_not_open_a_partition_that_is_done(
    target: Database, context: RunContext
) -> None:
    partitions = WorkerLedger(target.connection, context).partitions
    partitions.claim(FIRST, None)
    partitions.record_failure(FIRST, ErrorCode.CONN_004, "lost")
    assert state(target) == ("done", None)


@pytest.mark.parametrize(("wanted", "starts"), [("run", True), ("pause", False), ("stop", False)])
def test_a_pause_and_a_stop_hold_partitions_back(
    target: Database, context: RunContext, wanted: str, starts: bool
) -> None:
    target.run(f"UPDATE migration_jobs SET wanted = '{wanted}'")
    loads = WorkerLedger(target.connection, context).loads
    assert loads.may_start("rows", comparing=True) is starts


def test_a_load_waits_for_its_own_comparison(target: Database, context: RunContext) -> None:
    loads = WorkerLedger(target.connection, context).loads
    assert context.programs["rows"].compares_rows
    assert not loads.may_start("rows")
    loads.mark_compared("rows")
    assert loads.may_start("rows")


@pytest.mark.parametrize("settled", [False, True])
def test_a_load_waits_until_its_parents_are_settled(
    target: Database, context: RunContext, settled: bool
) -> None:
    target.run(
        "INSERT INTO migration_loads (job_id, load, level, target_table, definition, source_rows,"
        f" target_rows_before, settled) VALUES ('job', 'parents', 0, 'p', '', 1, 0, {settled})"
    )
    child = replace(context, needs={"rows": ("parents",)})
    assert WorkerLedger(target.connection, child).loads.may_start("rows", True) is settled


def test_a_parent_that_could_not_be_planned_is_waited_for(
    target: Database, context: RunContext
) -> None:
    child = replace(context, needs={"rows": ("parents",)})
    assert not WorkerLedger(target.connection, child).loads.may_start("rows", True)


@pytest.mark.parametrize(
    ("counts", "starts"),
    [
        (Counts(read=10, candidates=10, accepted=8, rejected=2), True),
        (Counts(read=10, candidates=10, accepted=7, rejected=3), False),
        # Skipped rows aren't candidates that the share is of.
        (Counts(read=10, candidates=10, accepted=6, rejected=2, skipped=2), False),
    ],
)
def test_a_broken_budget_stops_the_job(
    target: Database, context: RunContext, counts: Counts, starts: bool
) -> None:
    careful = replace(context, budget=ErrorBudget(rejected=0.2, min_rows=5))
    ledger = WorkerLedger(target.connection, careful)
    ledger.partitions.claim(FIRST, None)
    ledger.partitions.record(FIRST, counts, 0.0)
    assert ledger.loads.may_start("rows", True) is starts
    assert target.values("SELECT wanted FROM migration_jobs") == ["run" if starts else "stop"]


def test_counts_are_amended_by_the_difference(target: Database, context: RunContext) -> None:
    partitions = WorkerLedger(target.connection, context).partitions
    partitions.claim(FIRST, None)
    counts = Counts(
        read=10, candidates=10, accepted=7, rejected=3, written=7, inserted=7,
        violations={"DATA-001": 2, "TRANS-002": 2}, rejected_by={"DATA-001": 2, "TRANS-002": 1},
    )  # fmt: skip
    partitions.record(FIRST, counts, 0.0)
    change = Counts(
        accepted=2, rejected=-2, written=2, inserted=2,
        violations={"DATA-001": -2, "DATA-003": 1}, rejected_by={"DATA-001": -2},
    )  # fmt: skip
    partitions.amend("rows", "000001", change)
    assert target.row(
        "SELECT read, candidates, accepted, rejected, skipped, written, inserted, violations,"
        " rejected_by FROM migration_partitions"
    ) == (10, 10, 9, 1, 0, 9, 9, {"TRANS-002": 2, "DATA-003": 1}, {"TRANS-002": 1})
