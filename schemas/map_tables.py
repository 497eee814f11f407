"""The content of maps during a run, and the site's own decisions on codes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)


def add_maps(metadata: MetaData) -> None:
    """Add ``migration_maps``: the content of maps, for workers in other processes."""
    Table(
        "migration_maps",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("part", Text, nullable=False),
        Column("sha256", Text, nullable=False),
        Column("content", LargeBinary, nullable=False),
        PrimaryKeyConstraint("job_id", "name", "part"),
    )


def add_code_mappings(metadata: MetaData) -> None:
    """Add ``code_mappings``: the site's own decisions on codes."""
    Table(
        "code_mappings",
        metadata,
        Column("id", BigInteger, Identity(always=False), primary_key=True),
        Column("source_system", Text, nullable=False),
        Column("target_system", Text, nullable=False),
        Column("source_code", Text, nullable=False),
        Column("target_code", Text),
        Column("description", Text),
        Column("decided_by", Text, nullable=False, server_default=text("session_user")),
        Column("decided_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )
