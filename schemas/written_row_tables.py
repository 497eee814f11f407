"""Records of what a job has written and dropped in its target tables."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY


def add_keys(metadata: MetaData) -> None:
    """Add ``migration_keys``: source keys, with the target key that each row got."""
    Table(
        "migration_keys",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("source_key", Text, nullable=False),
        Column("target_key", Text, nullable=False),
        Column("placeholder", Boolean, nullable=False, server_default="false"),
        PrimaryKeyConstraint("job_id", "load", "source_key"),
    )


def add_placeholders(metadata: MetaData) -> None:
    """Add ``migration_placeholders``: target rows that stand in for missing parents."""
    Table(
        "migration_placeholders",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("target_table", Text, nullable=False),
        Column("target_key", Text, nullable=False),
        PrimaryKeyConstraint("job_id", "target_table", "target_key"),
    )


def add_indexes(metadata: MetaData) -> None:
    """Add ``migration_indexes``: indexes and foreign keys that the run has to build again."""
    Table(
        "migration_indexes",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("target_table", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("field", Text),
        Column("parent", Text),
        Column("key", Text),
        Column("definition", Text, nullable=False),
        PrimaryKeyConstraint("job_id", "name"),
    )


def add_write_marks(metadata: MetaData) -> None:
    """Add ``migration_write_marks``: the rows that the current transaction has written so far.

    Each transaction deletes its own marks before it commits, so nothing here has to survive a crash
    of the server.
    """
    Table(
        "migration_write_marks",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("id", BigInteger, Identity(always=False), nullable=False),
        Column("relation", BigInteger, nullable=False),
        Column("written_as", Text, nullable=False),
        Column("written", BigInteger, nullable=False),
        Column("inserted", BigInteger, nullable=False),
        PrimaryKeyConstraint("job_id", "load", "partition_id", "id"),
        prefixes=["UNLOGGED"],
    )


def add_written_rows(metadata: MetaData) -> None:
    """Add ``migration_written_rows``: rows written by transaction, by which a reset finds them."""
    written = Table(
        "migration_written_rows",
        metadata,
        Column("id", BigInteger, Identity(always=False), primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("relation", BigInteger, nullable=False),
        Column("written_as", Text, nullable=False),
        Column("written", BigInteger, nullable=False),
        Column("inserted", BigInteger, nullable=False),
        Column("transaction", BigInteger, nullable=False),
        Column("xids", ARRAY(BigInteger), nullable=False),
        Column("rows", ARRAY(BigInteger), nullable=False),
    )
    Index("migration_written_rows_by_load", written.c.job_id, written.c.load)
