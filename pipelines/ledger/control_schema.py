"""The control schema: created, upgraded from earlier versions, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy

from pipelines.connections.database_errors import translate_errors
from pipelines.connections.patient_connections import retrying_of
from pipelines.ledger.control_access import identify_rows
from pipelines.ledger.control_upgrade import record_version, upgrade_tables
from pipelines.ledger.control_version import read_version
from pipelines.ledger.halt_refusal import refuse_halted
from pipelines.ledger.job_ledger import JobLedger
from schemas.control_tables import control_metadata
from schemas.control_version_tables import CONTROL_VERSION
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.ledger.ledger_session import LedgerSession
from transforms.postgres.connections import connect
from transforms.postgres.retries import run_with_retries


def ensure_current_version(ledger: JobLedger) -> None:
    """Upgrade the control tables of an earlier version; to be called before they are used.

    Nothing is written, and no other connection opened, if they are of the current version or if
    there are none.

    Args:
        ledger: A job's. The upgrade has a connection of its own.

    Raises:
        TransfuseError: As ``create_control_tables``.
    """
    version = read_version(ledger.connection, ledger.specification)
    if version is not None and version < CONTROL_VERSION:
        create_control_tables(ledger.specification)


@contextmanager
def hold_current_job(ledger: JobLedger) -> Iterator[None]:
    """Hold the job for this process, with control tables of the current version.

    Args:
        ledger: The job's, whose connection has the lock.

    Raises:
        TransfuseError: As ``ensure_current_version`` and ``JobLock.hold``; USER-003 while an
            emergency stop is in force.
    """
    ensure_current_version(ledger)
    with ledger.lock.hold():
        # After the lock is held: an emergency stop ends whoever held it before.
        refuse_halted(ledger)
        yield


def create_control_tables(specification: Specification) -> None:
    """Create the schema and the control tables where they are missing, and upgrade earlier ones.

    All of it is one transaction, which is tried as often as ``limits.retry`` says.

    Args:
        specification: Names the target and its control schema.

    Raises:
        TransfuseError: Exit status 2: USER-002 if the role may not create or upgrade them, or if
            such a schema can't exist; USER-003 if a process holds a job whose tables have to be
            upgraded; SYS-004 if the tables are of a later version or of no known shape. Other codes
            if the server or the network fails meanwhile (exit status 3).
    """
    schema = specification.target.control_schema
    where = f"schema {schema or 'of the connection'}"
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(specification.target.url, autocommit=False),
        poolclass=sqlalchemy.pool.NullPool,
    )

    def create() -> None:
        try:
            with engine.begin() as connection:
                # Two first runs at once would create, or upgrade, the same tables.
                connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(7274677573)"))
                if schema is not None and not sqlalchemy.inspect(connection).has_schema(schema):
                    connection.execute(sqlalchemy.schema.CreateSchema(schema))
                _bring_up_to_date(connection, specification, where)
        except sqlalchemy.exc.DBAPIError as error:
            # The driver's error says what failed, and whether it can pass.
            raise (error.orig or error) from None

    with translate_errors(where):
        try:
            run_with_retries(retrying_of(specification), create, where)
        except psycopg.ProgrammingError as error:
            raise TransfuseError(
                Problem(
                    ErrorCode.USER_002,
                    f"the control tables can't be created (SQLSTATE {error.sqlstate})",
                    where,
                    "grant CREATE to the role, or name another target.control_schema",
                )
            ) from None


def _bring_up_to_date(
    connection: sqlalchemy.Connection, specification: Specification, where: str
) -> None:
    metadata = control_metadata(specification.target.control_schema)
    driver: Any = connection.connection.driver_connection
    version = read_version(driver, specification)
    if version is not None and version < CONTROL_VERSION:
        upgrade_tables(driver, specification, version, where)
    metadata.create_all(connection)
    if version is None:
        session = LedgerSession(driver, specification.job, specification.target.control_schema)
        record_version(session, CONTROL_VERSION)
    identify_rows(connection, metadata)
    _refuse_other_shape(connection, metadata, where)


def _refuse_other_shape(
    connection: sqlalchemy.Connection, metadata: sqlalchemy.MetaData, where: str
) -> None:
    """Refuses control tables that lack columns (SYS-004); ``code_mappings`` may, as a site makes
    its own."""
    present = sqlalchemy.inspect(connection).get_multi_columns(
        schema=metadata.schema, filter_names=[table.name for table in metadata.sorted_tables]
    )
    lacking = [
        f"{table.name} has no {column.name}"
        for table in metadata.sorted_tables
        if table.name != "code_mappings"
        for column in table.columns
        if column.name not in {one["name"] for one in present[metadata.schema, table.name]}
    ]
    if lacking:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"the control tables aren't those of their version: {', '.join(lacking)}",
                where,
                "restore these columns, or name another target.control_schema",
            )
        )
