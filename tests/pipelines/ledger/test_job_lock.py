"""The lock by which one process at a time has a job."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import TransfuseError
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import TwoDatabases
from tests.support.waiting import wait_until
from transforms.postgres.connections import connect

SPECIFICATION = "tables: {moved: {from: legacy, copy: [id]}}"

HOLDER = """
import os
from pathlib import Path
from pipelines.ledger.job_ledger import JobLedger
from schemas.specification.reading import read_specification
from transforms.postgres.connections import connect

specification = read_specification(Path("specification.yaml"), os.environ)
with connect(specification.target.url) as target, JobLedger(target, specification).lock.hold():
    target.execute("SELECT pg_sleep(600)")
"""

AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)'"


def test_who_loses_the_connection_is_told_of_what_happened_within(databases: TwoDatabases) -> None:
    specification = read_specification(databases.write(SPECIFICATION), databases.variables)

    def interrupted() -> None:
        with connect(databases.target.url) as target, JobLedger(target, specification).lock.hold():
            (pid,) = target.execute("SELECT pg_backend_pid()").fetchone() or (0,)
            databases.target.run(f"SELECT pg_terminate_backend({pid})")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


@pytest.mark.slow
def test_a_process_that_was_killed_during_a_statement_lets_go_of_its_job(
    databases: TwoDatabases,
) -> None:
    path = databases.write(SPECIFICATION)
    specification = read_specification(path, databases.variables)
    with (
        subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            cwd=databases.folder,
            env=os.environ | databases.variables,
        ) as holder,
        connect(databases.target.url) as target,
    ):
        try:
            wait_until(lambda: databases.target.row(AT_WORK) == (1,))
            with (
                pytest.raises(TransfuseError, match="is running already"),
                JobLedger(target, specification).lock.hold(),
            ):
                pass
        finally:
            holder.kill()
        holder.wait()
        with JobLedger(target, specification).lock.hold():
            pass
