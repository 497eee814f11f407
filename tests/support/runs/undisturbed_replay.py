"""A job with rejected rows, and its replay when nothing disturbs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases.two_databases import Row, TwoDatabases, two_databases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.child_runs import LONGEST, start

REPLAY = ("rejects", "replay")

STATUS = (
    "SELECT load, source_key, rule_id, status FROM migration.migration_errors ORDER BY 1, 2, 3, 4"
)


def migrate_and_fix_source(databases: TwoDatabases) -> Path:
    """Run a job, correct the people that it rejected, and return the path of its specification."""
    prepare(databases)
    databases.migrate(SPECIFICATION, header=SMALL)
    databases.legacy.run("UPDATE people SET sex = 'M' WHERE sex = '?'")
    return databases.write(SPECIFICATION, SMALL)


def rows_and_status(databases: TwoDatabases) -> dict[str, list[Row]]:
    """The contents of the target, and the status of each row of the error sink."""
    return {**content(databases), "status": databases.target.rows(STATUS)}


@pytest.fixture(scope="module")
def undisturbed_replay(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[float, dict[str, list[Row]]]]:
    """The seconds that a replay takes when nothing disturbs it, and the rows that it leaves."""
    with two_databases(server, tmp_path_factory.mktemp("replayed")) as databases:
        path = migrate_and_fix_source(databases)
        begun = time.monotonic()
        assert start(databases, path, verb=REPLAY).wait(timeout=LONGEST) == 0
        yield time.monotonic() - begun, rows_and_status(databases)
