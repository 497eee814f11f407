"""kill -9 of a replay at any moment: the next one brings in what is left, and nothing twice."""

from __future__ import annotations

import random
import subprocess
from contextlib import suppress

import pytest

from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.runs.child_runs import LONGEST, assert_nothing_left, kill_all, start
from tests.support.runs.replays import assert_ledger_and_sink_agree
from tests.support.runs.undisturbed_replay import (
    REPLAY,
    migrate_and_fix_source,
    rows_and_status,
    undisturbed_replay,
)
from tests.support.seeds import seeds

__all__ = ["undisturbed_replay"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(10, 20))
def test_a_replay_that_is_killed_at_any_moment(
    databases: TwoDatabases, undisturbed_replay: tuple[float, dict[str, list[Row]]], seed: int
) -> None:
    usual, expected = undisturbed_replay
    chance = random.Random(seed)
    path = migrate_and_fix_source(databases)
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
    assert rows_and_status(databases) == expected
    assert_ledger_and_sink_agree(databases)
    assert_nothing_left(databases)
