"""The error sink, and the decisions about rows that later partitions and runs have to follow."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


def add_errors(metadata: MetaData) -> None:
    """Add ``migration_errors``: a row for each violation, warnings included."""
    errors = Table(
        "migration_errors",
        metadata,
        Column("id", BigInteger, Identity(always=False), primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("error_code", Text, nullable=False),
        Column("error_type", Text, nullable=False),
        Column("category", Text, nullable=False),
        Column("severity", Text, nullable=False),
        Column("rule_id", Text, nullable=False),
        Column("reason", Text),
        Column("load", Text, nullable=False),
        Column("source_table", Text, nullable=False),
        Column("target_table", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("source_key", Text),
        Column("target_key", Text),
        Column("field", Text),
        Column("message", Text, nullable=False),
        Column("root_cause_id", BigInteger),
        Column("warning", Boolean, nullable=False, server_default=text("false")),
        Column("referenced", Boolean, nullable=False, server_default=text("false")),
        Column("status", Text, nullable=False, server_default="open"),
        Column("attempts", Integer, nullable=False, server_default="1"),
        Column("first_attempt", Integer, nullable=False, server_default="1"),
        Column("changed_at", DateTime(timezone=True)),
        Column("changed_by", Text),
        Column("note", Text),
        Column("written_keys", ARRAY(Text)),
    )
    _index_errors(errors)


def _index_errors(errors: Table) -> None:
    # Two indexes on every violation cost the server twice as much as the violation itself, so
    # they contain only violations of loads whose rows other loads look up here.
    referenced = errors.c.referenced
    Index(
        "migration_errors_by_target_key",
        errors.c.job_id,
        errors.c.target_table,
        errors.c.target_key,
        postgresql_where=referenced,
    )
    Index(
        "migration_errors_by_source_key",
        errors.c.job_id,
        errors.c.load,
        errors.c.source_key,
        postgresql_where=referenced,
    )
    Index(
        "migration_errors_by_written_keys",
        errors.c.written_keys,
        postgresql_using="gin",
        postgresql_where=errors.c.written_keys.isnot(None),
    )


def add_skipped(metadata: MetaData) -> None:
    """Add ``migration_skipped``: skipped rows that others refer to."""
    skipped = Table(
        "migration_skipped",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("source_key", Text),
        Column("target_key", Text),
    )
    Index("migration_skipped_by_target_key", skipped.c.job_id, skipped.c.load, skipped.c.target_key)
    Index("migration_skipped_by_source_key", skipped.c.job_id, skipped.c.load, skipped.c.source_key)


def add_duplicates(metadata: MetaData) -> None:
    """Add ``migration_duplicates``: the candidates that lose their key to a winner.

    ``place`` is NULL where version 1 compared the rows and didn't store which loser comes next.
    """
    Table(
        "migration_duplicates",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("ordinal", Integer, nullable=False),
        Column("source_key", Text),
        Column("claim", Text, nullable=False),
        Column("winner_key", Text),
        Column("key_digest", Text, nullable=False),
        Column("place", Integer),
        Column("released", Boolean, nullable=False, server_default=text("false")),
        PrimaryKeyConstraint("job_id", "load", "partition_id", "ordinal"),
    )


def add_group_findings(metadata: MetaData) -> None:
    """Add ``migration_group_findings``: candidates that fail a rule over several rows."""
    Table(
        "migration_group_findings",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("ordinal", Integer, nullable=False),
        Column("rule", Text, nullable=False),
        Column("source_key", Text),
        Column("claim", Text, nullable=False),
        PrimaryKeyConstraint("job_id", "load", "partition_id", "ordinal", "rule"),
    )


def add_deferred(metadata: MetaData) -> None:
    """Add ``migration_deferred``: references to check when their load is settled."""
    deferred = Table(
        "migration_deferred",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("field", Text, nullable=False),
        Column("source_key", Text),
        Column("target_key", JSONB, nullable=False),
        Column("reference", Text, nullable=False),
        Column("written", Boolean, nullable=False),
    )
    Index("migration_deferred_by_load", deferred.c.job_id, deferred.c.load)
