"""A disk that fills up: the run ends as incomplete with SYS-005, and goes on when there is room."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.child_runs import LONGEST, start

SIZE = 24 * 2**20


@pytest.fixture
def small_disk(databases: TwoDatabases) -> Iterator[Path]:
    """A folder of the server's with room for 24 MB. Only root can have one."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can be mounted by root alone: full disks aren't tried here")
    with tempfile.TemporaryDirectory(prefix="tf-") as name:
        folder = Path(name)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder],
            check=False,
            capture_output=True,
        )
        if mounted.returncode:
            pytest.skip("no disk can be mounted in here: full disks aren't tried")
        try:
            (location := folder / "space").mkdir()
            (data,) = databases.target.values("SHOW data_directory")
            owner = Path(data).stat()
            os.chown(folder, owner.st_uid, owner.st_gid)
            os.chown(location, owner.st_uid, owner.st_gid)
            Path(name).chmod(0o755)
            yield folder
        finally:
            for statement in (
                "DROP TABLE IF EXISTS visits, people, totals",
                "DROP SCHEMA IF EXISTS migration CASCADE",
                "DROP TABLESPACE IF EXISTS full_up",
            ):
                databases.target.run(statement)
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("full", ["people", "visits", "migration.migration_errors"])
def test_a_target_whose_disk_is_full(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]], small_disk: Path, full: str
) -> None:
    prepare(databases)
    databases.target.run(f"CREATE TABLESPACE full_up LOCATION '{small_disk / 'space'}'")
    if full.startswith("migration."):
        databases.migrate(SPECIFICATION, only=["totals"], header=SMALL)
    databases.target.run(f"ALTER TABLE {full} SET TABLESPACE full_up")
    room = shutil.disk_usage(small_disk).free
    (filler := small_disk / "filler").write_bytes(bytes(room))
    outcome = databases.migrate(SPECIFICATION, header=SMALL, expected=ExitStatus.INCOMPLETE)
    assert {p.code for p in outcome.problems} == {ErrorCode.SYS_005}
    assert all("the disk is full" in p.message for p in outcome.problems)
    filler.unlink()
    databases.migrate(SPECIFICATION, header=SMALL)
    assert content(databases) == undisturbed


@pytest.mark.slow
def test_no_room_for_what_is_put_aside(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
) -> None:
    """The keys of a load, which are grouped on disk; here a file may not be longer."""
    prepare(databases)
    path = databases.write(SPECIFICATION, SMALL)
    run = start(databases, path, limits={resource.RLIMIT_FSIZE: 16 * 1024})
    assert run.wait(timeout=LONGEST) == ExitStatus.INCOMPLETE
    told = (databases.folder / "run.log").read_text()
    assert "SYS-005 table visits, " in told
    assert "this machine refuses a file" in told
    assert start(databases, path).wait(timeout=LONGEST) == ExitStatus.COMPLETE
    assert content(databases) == undisturbed
