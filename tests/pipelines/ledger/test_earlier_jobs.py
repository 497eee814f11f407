"""A job that an earlier Transfuse began is finished by this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pipelines import migrate, read_specification, replay
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from schemas.specification.earlier_digests import is_digest_of
from tests.support.databases.two_databases import Row, TwoDatabases, two_databases
from tests.support.jobs import coded_visits
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.project import PROJECT
from tests.support.runs.earlier_release import (
    VERSION_1,
    extract_release,
    release_running,
    run_release,
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

CODED_MOMENTS = {
    "among duplicates": ("patients", "new.mrn = 'M1501'"),
    "while rows get keys": ("visits", "new.no = 1501"),
    "among codes": ("diagnoses", "new.no = 1501"),
}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extract_release(VERSION_1, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def coded(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Row]]]:
    """All that the job of coded visits leaves behind when nothing happens to it."""
    with two_databases(server, tmp_path_factory.mktemp("coded")) as databases:
        coded_visits.prepare(databases)
        databases.migrate(coded_visits.SPECIFICATION, header=SMALL)
        yield coded_visits.content(databases)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_job_of_version_1_is_finished_as_if_it_had_never_been_interrupted(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]], release: Path, moment: str
) -> None:
    prepare(databases)
    interrupt(databases, release, databases.write(SPECIFICATION, SMALL), *MOMENTS[moment])
    outcome = databases.migrate(SPECIFICATION, header=SMALL)
    assert outcome.summary.state == "complete"
    assert content(databases) == undisturbed


@pytest.mark.parametrize("moment", CODED_MOMENTS)
def test_what_version_1_decided_across_rows_still_holds(
    databases: TwoDatabases, coded: dict[str, list[Row]], release: Path, moment: str
) -> None:
    coded_visits.prepare(databases)
    path = databases.write(coded_visits.SPECIFICATION, SMALL)
    interrupt_within(databases, release, path, *CODED_MOMENTS[moment])
    outcome = databases.migrate(coded_visits.SPECIFICATION, header=SMALL)
    assert outcome.summary.state == "complete"
    finished = coded_visits.content(databases)
    for kind, rows in coded.items():
        if kind != "losers" or moment == "among duplicates":
            assert finished[kind] == rows, kind
    assert databases.target.values("SELECT load FROM migration.migration_earlier_findings") == []


def test_targets_that_version_1_held_against_no_release_are_accepted_or_refused(
    databases: TwoDatabases, release: Path
) -> None:
    """E88 has been no billable code since 2017, so an uninterrupted run warns of each."""
    coded_visits.prepare(databases)
    gem = coded_visits.GEM.replace("I10  ", "E8889")
    (databases.folder / "gem.txt").write_text(gem.replace("E119 ", "E88  "), encoding="ascii")
    path = databases.write(coded_visits.SPECIFICATION, SMALL)
    interrupt_within(databases, release, path, *CODED_MOMENTS["among codes"])
    problem = databases.refused(coded_visits.SPECIFICATION, SMALL).problems[0]
    assert problem.code is ErrorCode.USER_003
    assert "weren't held against a release" in problem.message
    accepting = coded_visits.SPECIFICATION.replace("gem.txt,", "gem.txt, outdated: accept,")
    path = databases.write(accepting, SMALL)
    outcome = migrate(read_specification(path, databases.variables), accept_changes=True)
    assert outcome.status is ExitStatus.COMPLETE
    assert databases.target.row("SELECT count(*) FROM diagnoses WHERE code LIKE 'E88%'")[0] > 1000


LOSERS = """
CREATE TABLE wards (no int PRIMARY KEY, id int, name text);
INSERT INTO wards VALUES (1, 1, 'bad'), (2, 1, 'North'), (3, 1, 'South'), (4, 2, 'East');
"""

WARDS = """
tables:
  wards: {from: wards, key: [id], copy: [id, name], rules: {KNOWN: name <> 'bad'}}
"""


def test_a_complete_job_of_version_1_stays_complete_and_can_be_replayed(
    databases: TwoDatabases, release: Path
) -> None:
    databases.legacy.run(LOSERS)
    databases.target.run("CREATE TABLE wards (id int PRIMARY KEY, name text)")
    path = databases.write(WARDS)
    finish(databases, release, path)
    specification = read_specification(path, {**databases.variables, "LEGACY_URL": NOWHERE})
    outcome = migrate(specification)
    assert outcome.already
    assert outcome.status is ExitStatus.COMPLETE
    databases.target.run(
        "UPDATE migration.migration_errors SET status = 'discarded' WHERE rule_id = 'KNOWN'"
    )
    replay(read_specification(path, databases.variables))
    assert databases.target.rows("TABLE wards ORDER BY id") == [(1, "North"), (2, "East")]
    assert databases.errors("source_key, reason, status") == [
        ("1", None, "discarded"),
        ("2", "winner_gone", "replayed"),
        ("3", "duplicate", "open"),
    ]


def test_losers_that_were_compared_as_text_are_not_replayed(
    databases: TwoDatabases, release: Path
) -> None:
    databases.legacy.run(
        "CREATE TABLE stays (no int PRIMARY KEY, span interval);"
        "INSERT INTO stays VALUES (1, '1 day'), (2, '1 day'), (3, '2 days')"
    )
    databases.target.run("CREATE TABLE stays (no int, span interval UNIQUE)")
    path = databases.write("tables: {stays: {from: stays, key: [span], copy: [no, span]}}\n")
    finish(databases, release, path)
    specification = read_specification(path, databases.variables)
    with pytest.raises(TransfuseError) as raised:
        replay(specification)
    problem = raised.value.problems[0]
    assert problem.code is ErrorCode.SYS_004
    assert "compared its keys as text" in problem.message
    assert f"transfuse reset {path}" in problem.remedy
    assert migrate(specification).already


NOWHERE = "postgresql://nobody@127.0.0.1:1/gone"


def test_the_digest_of_a_specification_is_recognised(
    databases: TwoDatabases, release: Path
) -> None:
    for path in digested(databases):
        variables = {**databases.variables, **ELSEWHERE}
        specification = read_specification(path, variables)
        stored = subprocess.run(
            [sys.executable, "-c", DIGEST, path],
            cwd=release,
            env={**os.environ, **variables, "PYTHONPATH": str(release)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert is_digest_of(specification, stored.strip()), path
        assert is_digest_of(specification, specification.digest)
        assert not is_digest_of(specification, "0" * 64)


ELSEWHERE = {"SAMPLE": "1", "GEM_FILE": "gem.txt", "FOLDER": "."}

DIGEST = """
import os, sys
from pathlib import Path
from schemas.specification.reading import read_specification
print(read_specification(Path(sys.argv[1]), os.environ).digest)
"""


def digested(databases: TwoDatabases) -> Iterator[Path]:
    yield from (PROJECT / "specs").glob("*.yaml")
    yield PROJECT / "demo" / "hospital.yaml"
    yield databases.write(coded_visits.SPECIFICATION, SMALL)


def test_a_view_that_may_have_changed_unseen_is_refused_with_a_way_out(
    databases: TwoDatabases, release: Path
) -> None:
    databases.legacy.run(
        "CREATE TABLE stored AS SELECT i AS id, repeat('n', 60) AS name"
        " FROM generate_series(1, 4000) i; CREATE VIEW wards AS TABLE stored"
    )
    databases.target.run("CREATE TABLE wards (id int PRIMARY KEY, name text)")
    specification = "tables: {wards: {from: wards, partition: id, key: [id], copy: [id, name]}}\n"
    path = databases.write(specification, SMALL)
    interrupt_within(databases, release, path, "wards", "new.id = 3000")
    problem = databases.refused(specification, SMALL).problems[0]
    assert problem.code is ErrorCode.SYS_004
    assert "behind its view" in problem.message
    assert f"transfuse reset {path}" in problem.remedy
    databases.target.run("TRUNCATE wards")
    assert run_verb("reset", str(path), "--yes", databases=databases) == ExitStatus.COMPLETE
    databases.migrate(specification, header=SMALL)


def test_rows_are_not_finished_with_other_duplicates_than_they_were_begun(
    databases: TwoDatabases, release: Path
) -> None:
    coded_visits.prepare(databases)
    path = databases.write(coded_visits.SPECIFICATION, SMALL)
    interrupt_within(databases, release, path, *CODED_MOMENTS["among duplicates"])
    databases.target.run(
        "DELETE FROM migration.migration_duplicates WHERE ordinal ="
        " (SELECT min(ordinal) FROM migration.migration_duplicates)"
    )
    before = databases.target.rows("TABLE patients ORDER BY mrn")
    first = databases.migrate(
        coded_visits.SPECIFICATION, header=SMALL, expected=ExitStatus.INCOMPLETE
    )
    assert any("finds other duplicates" in problem.message for problem in first.problems)
    assert databases.target.rows("TABLE patients ORDER BY mrn") == before
    problem = databases.refused(coded_visits.SPECIFICATION, SMALL).problems[0]
    assert problem.code is ErrorCode.SYS_004
    assert f"transfuse reset {path}" in problem.remedy


def interrupt(
    databases: TwoDatabases,
    release: Path,
    specification: Path,
    table: str,
    event: str,
    condition: str,
) -> None:
    """Let the earlier Transfuse migrate until it writes a certain row, and kill it there."""
    _interrupt(databases, release, specification, gate(databases, table, event, condition), None)
    databases.target.run(f"DROP TRIGGER gate ON {table}")


def interrupt_within(
    databases: TwoDatabases, release: Path, specification: Path, load: str, condition: str
) -> None:
    """Kill the earlier Transfuse when it has committed a part of a load, but not a certain row."""
    keeper = gate(databases, load, "INSERT", condition)
    _interrupt(databases, release, specification, keeper, load)
    databases.target.run(f"DROP TRIGGER gate ON {load}")


def _interrupt(
    databases: TwoDatabases,
    release: Path,
    specification: Path,
    keeper: psycopg.Connection[Row],
    load: str | None,
) -> None:
    with release_running(release, databases, specification) as process:
        wait_until(process, lambda: someone_waits(databases))
        if load is not None:
            wait_until(process, lambda: is_begun(databases, load))
        kill(process, databases)
    keeper.close()
    assert_version_1(databases)


def is_begun(databases: TwoDatabases, load: str) -> bool:
    done = f"SELECT FROM migration.migration_partitions WHERE load = '{load}' AND state = 'done'"
    return bool(databases.target.row(f"SELECT EXISTS ({done})")[0])


def finish(databases: TwoDatabases, release: Path, specification: Path) -> None:
    """Let the earlier Transfuse migrate to its end."""
    run = run_release(release, databases, "migrate", specification)
    assert run.returncode == ExitStatus.COMPLETE, run.stderr
    assert_version_1(databases)


def assert_version_1(databases: TwoDatabases) -> None:
    assert databases.target.row("SELECT to_regclass('migration.migration_schema')") == (None,)


def run_verb(*words: str, databases: TwoDatabases) -> int:
    from pipelines.cli.main import main

    return main([*words, *(f"--var={name}={url}" for name, url in databases.variables.items())])
