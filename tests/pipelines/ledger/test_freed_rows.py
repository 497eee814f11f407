"""Which rejected children are worth a replay, because their parent is no longer rejected."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

from pipelines.ledger.job_ledger import JobLedger
from schemas.control_tables import control_metadata
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import Database, TwoDatabases

SPECIFICATION = """
job: job
source: {url: postgresql:///unused}
target: {url: postgresql:///unused}
tables: {visits: {from: visits, copy: [id]}}
"""


@pytest.fixture
def ledger(databases: TwoDatabases, tmp_path: Path) -> JobLedger:
    """Of a job with a replayed violation of a patient, and a visit that was rejected for it."""
    target = databases.target
    url = target.url.replace("postgresql://", "postgresql+psycopg://")
    control_metadata(None).create_all(
        sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    )
    add(target, "patients", "7", "DATA-001", "replayed")
    add(target, "visits", "70", "DATA-002", "open", cause=1)
    path = tmp_path / "specification.yaml"
    path.write_text(SPECIFICATION)
    return JobLedger(target.connection, read_specification(path, {}))


def add(
    target: Database,
    load: str,
    key: str,
    code: str,
    status: str,
    cause: int | None = None,
    warning: bool = False,
) -> None:
    """Store a violation."""
    target.run(
        "INSERT INTO migration_errors (job_id, error_code, error_type, category, severity, rule_id,"
        " load, source_table, target_table, partition_id, source_key, message, status,"
        " root_cause_id, warning) VALUES ('job', "
        f"'{code}', '', 'data', 'High', 'x.ref', '{load}', '{load}', '{load}', '000001', '{key}',"
        f" '', '{status}', {cause or 'NULL'}, {warning})"
    )


def test_a_child_of_a_replayed_parent_is_freed(ledger: JobLedger) -> None:
    assert ledger.replays.count_freed() == {"visits": 1}


def test_a_warning_of_the_parent_does_not_hold_its_children(
    ledger: JobLedger, databases: TwoDatabases
) -> None:
    add(databases.target, "patients", "7", "DATA-005", "open", warning=True)
    assert ledger.replays.count_freed() == {"visits": 1}


@pytest.mark.parametrize("status", ["open", "discarded"])
def test_another_violation_of_the_parent_holds_them(
    status: str, ledger: JobLedger, databases: TwoDatabases
) -> None:
    add(databases.target, "patients", "7", "DATA-003", status)
    assert ledger.replays.count_freed() == {}


def test_a_child_that_was_replayed_itself_is_not_counted(
    ledger: JobLedger, databases: TwoDatabases
) -> None:
    databases.target.run("UPDATE migration_errors SET status = 'replayed' WHERE load = 'visits'")
    assert ledger.replays.count_freed() == {}


def test_a_child_is_counted_once(ledger: JobLedger, databases: TwoDatabases) -> None:
    add(databases.target, "visits", "70", "DATA-002", "open", cause=1)
    add(databases.target, "visits", "70", "DATA-001", "open")
    assert ledger.replays.count_freed() == {"visits": 1}
