"""The ledger: the job, its loads and their partitions."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB


def add_jobs(metadata: MetaData) -> None:
    """Add ``migration_jobs``: the state, specification and runs of each job."""
    Table(
        "migration_jobs",
        metadata,
        Column("job_id", Text, primary_key=True),
        Column("state", Text, nullable=False),
        Column("wanted", Text, nullable=False, server_default="run"),
        Column("specification_sha256", Text, nullable=False),
        Column("specification", Text, nullable=False),
        Column("maps", JSONB, nullable=False, server_default=text("'{}'")),
        Column("decisions", JSONB, nullable=False, server_default=text("'{}'")),
        Column("started_at", DateTime(timezone=True), nullable=False),
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("finished_at", DateTime(timezone=True)),
        Column("seconds", Float, nullable=False, server_default="0"),
        Column("runs", Integer, nullable=False, server_default="0"),
        Column("started_by", Text, nullable=False, server_default=text("session_user")),
    )


def add_loads(metadata: MetaData) -> None:
    """Add ``migration_loads``: the loads, and whether each is compared and settled."""
    Table(
        "migration_loads",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("level", Integer, nullable=False),
        Column("target_table", Text, nullable=False),
        Column("definition", Text, nullable=False),
        Column("source_rows", BigInteger, nullable=False),
        Column("target_rows_before", BigInteger, nullable=False),
        Column("source_state", JSONB, nullable=False, server_default=text("'[]'")),
        Column("compared", Boolean, nullable=False, server_default=text("false")),
        Column("settled", Boolean, nullable=False, server_default=text("false")),
        Column("error_code", Text),
        Column("error", Text),
        PrimaryKeyConstraint("job_id", "load"),
    )


def add_partitions(metadata: MetaData) -> None:
    """Add ``migration_partitions``: the state and counts of each partition."""
    Table(
        "migration_partitions",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("relation", Integer, nullable=False, server_default="0"),
        Column("predicate", Text, nullable=False),
        Column("planned_rows", BigInteger, nullable=False),
        Column("state", Text, nullable=False, server_default="planned"),
        Column("read", BigInteger),
        Column("empty", BigInteger),
        Column("candidates", BigInteger),
        Column("accepted", BigInteger),
        Column("rejected", BigInteger),
        Column("skipped", BigInteger),
        Column("written", BigInteger),
        Column("inserted", BigInteger),
        Column("expanded", BigInteger),
        Column("placeholders", JSONB, nullable=False, server_default=text("'{}'")),
        Column("skipped_by", JSONB, nullable=False, server_default=text("'{}'")),
        Column("violations", JSONB, nullable=False, server_default=text("'{}'")),
        Column("warnings", JSONB, nullable=False, server_default=text("'{}'")),
        Column("rejected_by", JSONB, nullable=False, server_default=text("'{}'")),
        Column("snapshot", Text),
        Column("started_at", DateTime(timezone=True)),
        Column("finished_at", DateTime(timezone=True)),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("error_code", Text),
        Column("error", Text),
        PrimaryKeyConstraint("job_id", "load", "partition_id"),
    )
