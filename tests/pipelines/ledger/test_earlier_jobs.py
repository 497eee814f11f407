"""A job that an earlier Transfuse began is finished by this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.earlier_release import (
    VERSION_1,
    extract_release,
    release_running,
)
from tests.support.runs.held_runs import gate, kill, someone_waits, wait_until

pytestmark = pytest.mark.slow

MOMENTS = {
    "while the first partition is written": ("people", "INSERT", "new.id = 1"),
    "between two partitions": ("people", "INSERT", "new.id = 2500"),
    "while references are settled": ("people", "UPDATE", "new.mother = 1002"),
    "in the second level": ("visits", "INSERT", "new.id = 3000"),
    "while rows get keys": ("totals", "INSERT", "new.n = 3000"),
}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extract_release(VERSION_1, tmp_path_factory.mktemp("release"))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_job_of_version_1_is_finished_as_if_it_had_never_been_interrupted(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]], release: Path, moment: str
) -> None:
    prepare(databases)
    interrupt(databases, release, databases.write(SPECIFICATION, SMALL), *MOMENTS[moment])
    outcome = databases.migrate(SPECIFICATION, header=SMALL)
    assert outcome.summary.state == "complete"
    assert content(databases) == undisturbed


def interrupt(
    databases: TwoDatabases,
    release: Path,
    specification: Path,
    table: str,
    event: str,
    condition: str,
) -> None:
    """Let the earlier Transfuse migrate until it writes a certain row, and kill it there."""
    keeper = gate(databases, table, event, condition)
    with release_running(release, databases, specification) as process:
        wait_until(process, lambda: someone_waits(databases))
        kill(process, databases)
    keeper.close()
    databases.target.run(f"DROP TRIGGER gate ON {table}")
    assert databases.target.row("SELECT to_regclass('migration.migration_schema')") == (None,)
