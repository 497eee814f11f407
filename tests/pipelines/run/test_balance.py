"""Counts that don't add up end a run with exit status 5, whichever of them it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.run.migrate import migrate
from pipelines.run.outcome import RunOutcome
from schemas.errors import ErrorCode, ExitStatus
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import TwoDatabases

SPECIFICATION = """
maps:
  icd: {policy: {cluster: expand}}
tables:
  codes:
    from: codes
    key: [id, seq]
    skip: {OLD: "id = 4"}
    fields:
      id: {from: id}
      code: {from: code, map: icd, into: {seq: cluster_seq}}
"""


@pytest.fixture(scope="module")
def balanced(shared_databases: TwoDatabases) -> TwoDatabases:
    """A complete job with rows that were accepted, expanded, rejected and skipped."""
    databases = shared_databases
    databases.legacy.run(
        "CREATE TABLE codes (id integer PRIMARY KEY, code text);"
        # The third is a cluster of two codes, the fourth is skipped, the fifth no code.
        "INSERT INTO codes VALUES (1, '001.0'), (2, '001.1'), (3, '073.0'), (4, '001.9'), (5, '?')"
    )
    databases.target.run("CREATE TABLE codes (id integer, seq integer, code text)")
    outcome = databases.migrate(SPECIFICATION)
    load = outcome.summary.tables["codes"]
    assert (load.accepted, load.rejected, load.skipped, load.expanded) == (3, 1, 1, 1)
    return databases


@pytest.fixture
def reopened(balanced: TwoDatabases) -> Iterator[TwoDatabases]:
    """The job, which another run will conclude; what a test changes is taken back."""
    target = balanced.target
    target.run(
        "CREATE TABLE kept_partitions AS TABLE migration.migration_partitions;"
        "CREATE TABLE kept_codes AS TABLE codes;"
        "UPDATE migration.migration_jobs SET state = 'incomplete'"
    )
    yield balanced
    target.run(
        "TRUNCATE migration.migration_partitions, codes;"
        "INSERT INTO migration.migration_partitions TABLE kept_partitions;"
        "INSERT INTO codes TABLE kept_codes; DROP TABLE kept_partitions, kept_codes"
    )


def migrate_again(databases: TwoDatabases) -> RunOutcome:
    return migrate(read_specification(databases.write(SPECIFICATION), databases.variables))


def test_a_job_that_adds_up_is_complete(reopened: TwoDatabases) -> None:
    reopened.migrate(SPECIFICATION)


@pytest.mark.parametrize(
    ("change", "message", "code"),
    [
        # A row of a cluster that wasn't written.
        (
            "UPDATE migration.migration_partitions SET written = written - 1",
            "4 rows were accepted and 3 written",
            ErrorCode.SYS_003,
        ),
        (
            "UPDATE migration.migration_partitions SET expanded = 0",
            "3 rows were accepted and 4 written",
            ErrorCode.SYS_003,
        ),
        (
            "UPDATE migration.migration_partitions SET planned_rows = 6",
            "the source counted 6 rows and gave 5",
            ErrorCode.SYS_005,
        ),
        (
            "UPDATE migration.migration_partitions SET planned_rows = 4",
            "the source counted 4 rows and gave 5",
            ErrorCode.SYS_005,
        ),
        (
            "UPDATE migration.migration_partitions SET read = 4, planned_rows = 4",
            "its partitions gave 4",
            ErrorCode.SYS_005,
        ),
        (
            "DELETE FROM codes WHERE id = 1",
            "1 row that was there before the job",
            ErrorCode.USER_003,
        ),
    ],
)
def test_each_count_is_compared(
    change: str, message: str, code: ErrorCode, reopened: TwoDatabases
) -> None:
    reopened.target.run(change)
    outcome = migrate_again(reopened)
    assert outcome.status is ExitStatus.OUT_OF_BALANCE
    problems = [p for p in outcome.problems if message in p.message]
    assert [problem.code for problem in problems] == [code], outcome.problems


def test_rows_of_others_are_no_imbalance(reopened: TwoDatabases) -> None:
    reopened.target.run("INSERT INTO codes VALUES (9, 1, 'Z00.00')")
    outcome = migrate_again(reopened)
    assert outcome.status is ExitStatus.COMPLETE
    assert [problem.code for problem in outcome.problems] == [ErrorCode.DATA_005]
