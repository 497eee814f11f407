"""The control schema: its tables are created where they are missing, refused where they differ."""

from __future__ import annotations

import psycopg
import sqlalchemy

from pipelines.databases.connected import retrying_of
from pipelines.databases.database_errors import told_for
from pipelines.ledger.control_access import identify_rows
from schemas.control_tables import control_metadata
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect
from transforms.postgres.retries import retried


def create_control_tables(specification: Specification) -> None:
    """Create the schema and the control tables where they are missing.

    The statements are tried as often as ``limits.retry`` says.

    Args:
        specification: Names the target and its control schema.

    Raises:
        TransfuseError: USER-002 if the role may not create them, or if such a schema can't exist;
            SYS-004 if the tables are of another version (exit status 2). Other codes if the server
            or the network fails meanwhile (exit status 3).
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
                # Two first runs at once would create the same tables.
                connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(7274677573)"))
                if schema is not None and not sqlalchemy.inspect(connection).has_schema(schema):
                    connection.execute(sqlalchemy.schema.CreateSchema(schema))
                metadata = control_metadata(schema)
                metadata.create_all(connection)
                identify_rows(connection, metadata)
                _refuse_other_version(connection, metadata, where)
        except sqlalchemy.exc.DBAPIError as error:
            # What failed is told by the driver's error, and whether it can pass.
            raise (error.orig or error) from None

    with told_for(where):
        try:
            retried(retrying_of(specification), create, where)
        except psycopg.ProgrammingError as error:
            raise TransfuseError(
                Problem(
                    ErrorCode.USER_002,
                    f"the control tables can't be created (SQLSTATE {error.sqlstate})",
                    where,
                    "grant CREATE to the role, or name another target.control_schema",
                )
            ) from None


def _refuse_other_version(
    connection: sqlalchemy.Connection, metadata: sqlalchemy.MetaData, where: str
) -> None:
    """Raises TransfuseError (SYS-004) where control tables lack columns; ``code_mappings`` may, as
    a site makes its own."""
    known = sqlalchemy.inspect(connection).get_multi_columns(
        schema=metadata.schema, filter_names=[table.name for table in metadata.sorted_tables]
    )
    lacking = [
        f"{table.name} has no {column.name}"
        for table in metadata.sorted_tables
        if table.name != "code_mappings"
        for column in table.columns
        if column.name not in {found["name"] for found in known[metadata.schema, table.name]}
    ]
    if lacking:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"the control tables are those of another version: {', '.join(lacking)}",
                where,
                "end their jobs with that version, or name another target.control_schema",
            )
        )
