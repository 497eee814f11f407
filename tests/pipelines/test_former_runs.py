"""What a worker of a former run has made of rows isn't taken when the job was started again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.errors import ErrorCode
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.pipelines.replays import (
    MENDED,
    OPEN,
    Capsys,
    assert_ledger_and_sink_agree,
    content,
    moved,
    replay,
)
from tests.pipelines.two_databases import TwoDatabases
from transforms.commit.ledger import claim, may_start, record_failure
from transforms.commit.replayed_rows import rejected_keys
from transforms.connections import connect
from transforms.partitions.partition import Partition
from transforms.run_context import RunContext
from transforms.settle_load import settle_load

pytestmark = pytest.mark.slow

LEDGER = "SELECT state, error_code FROM migration.migration_partitions WHERE load = 'visits'"


@pytest.fixture
def context(databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch) -> RunContext:
    """That of a run which has left its last load open."""
    from pipelines.context import run_context

    made: list[RunContext] = []

    def noted(*given: object) -> RunContext:
        made.append(run_context(*given))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr("pipelines.migrate.run_context", noted)
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
):
    (first,) = databases.target.row(
        "SELECT min(partition_id) FROM migration.migration_partitions WHERE load = 'visits'"
    )
    partition = Partition("visits", first, "TRUE", 1)
    if former:
        databases.target.run("UPDATE migration.migration_jobs SET runs = runs + 1")
    with connect(databases.target.url) as target:
        assert may_start(target, context, "visits") is not former
        record_failure(target, context, partition, ErrorCode.CONN_001, "lost")
        failed = ("failed", "CONN-001") in databases.target.rows(LEDGER)
        assert failed is not former
        assert claim(target, context, partition) is not former


@pytest.mark.parametrize("former", [False, True])
def test_a_load_is_settled_by_the_last_run_alone(
    databases: TwoDatabases, context: RunContext, former: bool
):
    databases.target.run("UPDATE migration.migration_partitions SET state = 'done'")
    with connect(databases.target.url) as target:
        asking = replace(context, run=context.run - 1) if former else context
        assert settle_load(target, asking, "visits") is not former


@pytest.mark.parametrize("former", [False, True])
def test_rejected_rows_are_replayed_by_the_last_run_alone(
    databases: TwoDatabases, capsys: Capsys, monkeypatch: pytest.MonkeyPatch, former: bool
):
    """Here the job is started again when the replay reads its first rows."""
    moved(databases)
    databases.legacy.run(MENDED)
    before, rejected = content(databases), databases.target.rows(OPEN)

    def asked(*given: Any) -> list[str]:
        if former:
            databases.target.run("UPDATE migration.migration_jobs SET runs = runs + 1")
        return rejected_keys(*given)

    monkeypatch.setattr("transforms.read_rejected.rejected_keys", asked)
    replay(databases, capsys, status=3 if former else 0)
    assert (content(databases) == before) is former
    assert (databases.target.rows(OPEN) == rejected) is former
    assert_ledger_and_sink_agree(databases)


def test_a_replay_is_a_run_of_its_own(databases: TwoDatabases, capsys: Capsys):
    moved(databases)
    runs = "SELECT runs FROM migration.migration_jobs"
    (before,) = databases.target.row(runs)
    replay(databases, capsys)
    assert databases.target.row(runs) == (before + 1,)


def test_a_former_run_does_not_stop_the_present_one(
    databases: TwoDatabases, context: RunContext, monkeypatch: pytest.MonkeyPatch
):
    """The job is started again while its worker adds up what is done of the load."""

    def broken(*_: object) -> bool:
        databases.target.run("UPDATE migration.migration_jobs SET runs = runs + 1, wanted = 'run'")
        return True

    monkeypatch.setattr("transforms.commit.ledger.broken_budgets", broken)
    with connect(databases.target.url) as target:
        assert not may_start(target, context, "visits")
    assert databases.target.row("SELECT wanted FROM migration.migration_jobs") == ("run",)
