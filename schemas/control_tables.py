"""The tables of the control schema: the job, its ledger, the error sink, keys and decisions.

``migration_errors``, ``migration_jobs``, ``migration_partitions``, ``migration_keys`` and
``code_mappings`` are for people to query. The others hold what a run must not decide twice.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


def control_metadata(schema: str | None) -> MetaData:
    """The control tables in ``schema``, or in the connection's default schema."""
    metadata = MetaData(schema=schema)
    for add in (
        _jobs,
        _loads,
        _partitions,
        _errors,
        _keys,
        _placeholders,
        _skipped,
        _duplicates,
        _group_findings,
        _indexes,
        _deferred,
        _write_marks,
        _written_rows,
        _maps,
        _code_mappings,
    ):
        add(metadata)
    return metadata


def _jobs(metadata: MetaData) -> None:
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


def _loads(metadata: MetaData) -> None:
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


def _partitions(metadata: MetaData) -> None:
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


def _errors(metadata: MetaData) -> None:
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
    # Two indexes on every violation cost the server twice what the violation itself does, so
    # they hold only those of loads whose rows are looked for here.
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


def _placeholders(metadata: MetaData) -> None:
    Table(
        "migration_placeholders",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("target_table", Text, nullable=False),
        Column("target_key", Text, nullable=False),
        PrimaryKeyConstraint("job_id", "target_table", "target_key"),
    )


def _keys(metadata: MetaData) -> None:
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


def _skipped(metadata: MetaData) -> None:
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


def _duplicates(metadata: MetaData) -> None:
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
        Column("place", Integer, nullable=False),
        Column("released", Boolean, nullable=False, server_default=text("false")),
        PrimaryKeyConstraint("job_id", "load", "partition_id", "ordinal"),
    )


def _group_findings(metadata: MetaData) -> None:
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


def _indexes(metadata: MetaData) -> None:
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


def _deferred(metadata: MetaData) -> None:
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


def _write_marks(metadata: MetaData) -> None:
    """Of the transaction that is at work alone, which removes what it has added: nothing of it is
    to survive a crash of the server."""
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


def _written_rows(metadata: MetaData) -> None:
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


def _maps(metadata: MetaData) -> None:
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


def _code_mappings(metadata: MetaData) -> None:
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
