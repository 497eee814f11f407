"""kill -9 of a replay at any moment: the next one brings in what is left, and nothing twice."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.runs import LONGEST, assert_nothing_left, kill_all, start
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.pipelines.replays import assert_ledger_and_sink_agree
from tests.pipelines.two_databases import Row, TwoDatabases, two_databases
from tests.seeds import seeds

REPLAY = ("rejects", "replay")

STATUS = (
    "SELECT load, source_key, rule_id, status FROM migration.migration_errors ORDER BY 1, 2, 3, 4"
)


def migrated(databases: TwoDatabases) -> Path:
    """The path of the specification of a job whose rejected people are mended since."""
    prepare(databases)
    databases.migrate(SPECIFICATION, header=SMALL)
    databases.legacy.run("UPDATE people SET sex = 'M' WHERE sex = '?'")
    return databases.write(SPECIFICATION, SMALL)


def found(databases: TwoDatabases) -> dict[str, list[Row]]:
    return {**content(databases), "status": databases.target.rows(STATUS)}


@pytest.fixture(scope="module")
def undisturbed_replay(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[float, dict[str, list[Row]]]]:
    """What a replay takes that nothing happens to, in seconds, and what it leaves."""
    with two_databases(server, tmp_path_factory.mktemp("replayed")) as databases:
        path = migrated(databases)
        begun = time.monotonic()
        assert start(databases, path, verb=REPLAY).wait(timeout=LONGEST) == 0
        yield time.monotonic() - begun, found(databases)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(3, 6))
def test_a_replay_that_is_killed_at_any_moment(
    databases: TwoDatabases, undisturbed_replay: tuple[float, dict[str, list[Row]]], seed: int
) -> None:
    usual, expected = undisturbed_replay
    chance = random.Random(seed)
    path = migrated(databases)
    moment = chance.uniform(0.5, 1.0) * usual
    print(f"seed {seed}: killed after {moment:.2f} of {usual:.2f} s")
    killed = start(databases, path, verb=REPLAY)
    with suppress(subprocess.TimeoutExpired):
        killed.wait(timeout=moment)
    kill_all(killed)
    again = start(databases, path, verb=REPLAY)
    try:
        assert again.wait(timeout=LONGEST) == 0, (databases.folder / "run.log").read_text()
    finally:
        kill_all(again)
    assert found(databases) == expected
    assert_ledger_and_sink_agree(databases)
    assert_nothing_left(databases)
