"""The version of the control tables, and what an upgrade leaves for the next run to decide."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)

CONTROL_VERSION = 3
"""The version of the control tables that this Transfuse reads and writes."""


def add_schema_versions(metadata: MetaData) -> None:
    """Add ``migration_schema``: a row for each version that the control tables have had here."""
    Table(
        "migration_schema",
        metadata,
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("release", Text, nullable=False),
        Column("upgraded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("upgraded_by", Text, nullable=False, server_default=text("session_user")),
    )


def add_refused_loads(metadata: MetaData) -> None:
    """Add ``migration_refused_loads``: loads of an earlier version that a verb can't go on with."""
    Table(
        "migration_refused_loads",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("verb", Text, nullable=False),
        Column("reason", Text, nullable=False),
        PrimaryKeyConstraint("job_id", "load", "verb"),
    )


def add_earlier_findings(metadata: MetaData) -> None:
    """Add ``migration_earlier_findings``: what an earlier version found when it compared rows.

    The rows of these loads are compared again, which has to give the same findings. ``rule`` is
    empty for a lost key.
    """
    Table(
        "migration_earlier_findings",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("rule", Text, nullable=False),
        Column("partition_id", Text, nullable=False),
        Column("ordinal", Integer, nullable=False),
        Column("winner_key", Text),
        PrimaryKeyConstraint("job_id", "load", "rule", "partition_id", "ordinal"),
    )
