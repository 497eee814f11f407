"""The records of a job's operation: runs, audit, metrics, alerts, incidents and halts."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
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

RECORDS = (
    "migration_runs",
    "migration_audit",
    "migration_metrics",
    "migration_alerts",
    "migration_incidents",
    "migration_halts",
)
"""The tables of this module: what happened stays on record when a job is forgotten."""


def add_runs(metadata: MetaData) -> None:
    """Add ``migration_runs``: who ran what and when, and how it ended.

    ``number`` is that of the run in ``migration_jobs.runs``; NULL for a run that didn't begin.
    """
    runs = Table(
        "migration_runs",
        metadata,
        Column("id", BigInteger, Identity(always=False), primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("number", Integer),
        Column("verb", Text, nullable=False),
        Column("state", Text, nullable=False, server_default="running"),
        Column("exit_status", Integer),
        Column("error_codes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
        Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("finished_at", DateTime(timezone=True)),
        Column("person", Text, nullable=False),
        Column("role", Text, nullable=False, server_default=text("session_user")),
        Column("host", Text, nullable=False),
        Column("process", Integer, nullable=False),
        Column("release", Text, nullable=False),
        Column("specification_sha256", Text, nullable=False),
        Column("specification", Text, nullable=False),
        Column("flags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    )
    Index("migration_runs_by_job", runs.c.job_id, runs.c.started_at)


def add_audit(metadata: MetaData) -> None:
    """Add ``migration_audit``: what people changed or viewed, who and when; never a value."""
    audit = Table(
        "migration_audit",
        metadata,
        Column("id", BigInteger, Identity(always=False), primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("action", Text, nullable=False),
        Column("object", Text, nullable=False, server_default=""),
        Column("rows", BigInteger),
        Column("reason", Text),
        Column("details", JSONB, nullable=False, server_default=text("'{}'")),
        Column("person", Text, nullable=False),
        Column("role", Text, nullable=False, server_default=text("session_user")),
        Column("host", Text, nullable=False),
    )
    Index("migration_audit_by_job", audit.c.job_id, audit.c.at)


def add_metrics(metadata: MetaData) -> None:
    """Add ``migration_metrics``: a row for each sample of a run.

    Shares and loads of the machine are in percent, and NULL where they can't be measured.
    """
    Table(
        "migration_metrics",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("run", Integer, nullable=False),
        Column("host", Text, nullable=False),
        Column("rows", BigInteger, nullable=False),
        Column("rows_per_second", Float, nullable=False),
        Column("seconds_per_partition", Float),
        Column("rejected_percent", Float),
        Column("cpu_percent", Float),
        Column("memory_percent", Float),
        Column("disk_percent", Float),
        Column("network_percent", Float),
        Column("process_bytes", BigInteger),
        PrimaryKeyConstraint("job_id", "at"),
    )


def add_alerts(metadata: MetaData) -> None:
    """Add ``migration_alerts``: one row for each time that a metric left its limits."""
    alerts = Table(
        "migration_alerts",
        metadata,
        Column("id", BigInteger, Identity(always=False), primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("run", Integer, nullable=False),
        Column("metric", Text, nullable=False),
        Column("error_code", Text, nullable=False),
        Column("severity", Text, nullable=False),
        Column("message", Text, nullable=False),
        Column("threshold", Float, nullable=False),
        Column("worst", Float, nullable=False),
        Column("began_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("ended_at", DateTime(timezone=True)),
    )
    Index("migration_alerts_by_job", alerts.c.job_id, alerts.c.began_at)


def add_incidents(metadata: MetaData) -> None:
    """Add ``migration_incidents``: what people have to respond to, and what was done about it.

    ``timeline`` is a list of objects with ``at``, ``event`` and ``person``. While an incident is
    not closed, no other has its job, trigger and subject.
    """
    incidents = Table(
        "migration_incidents",
        metadata,
        Column("id", Text, primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("trigger", Text, nullable=False),
        Column("subject", Text, nullable=False, server_default=""),
        Column("error_code", Text),
        Column("severity", Text, nullable=False),
        Column("level", Integer, nullable=False, server_default="1"),
        Column("status", Text, nullable=False, server_default="open"),
        Column("summary", Text, nullable=False),
        Column("impact", JSONB, nullable=False, server_default=text("'{}'")),
        Column("timeline", JSONB, nullable=False, server_default=text("'[]'")),
        Column("opened_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("respond_by", DateTime(timezone=True), nullable=False),
        Column("acknowledged_at", DateTime(timezone=True)),
        Column("acknowledged_by", Text),
        Column("closed_at", DateTime(timezone=True)),
        Column("closed_by", Text),
        Column("resolution", Text),
    )
    Index(
        "migration_incidents_not_closed",
        incidents.c.job_id,
        incidents.c.trigger,
        incidents.c.subject,
        unique=True,
        postgresql_where=incidents.c.status != "closed",
    )


def add_halts(metadata: MetaData) -> None:
    """Add ``migration_halts``: emergency stops that are in force; ``load`` is empty for the job."""
    Table(
        "migration_halts",
        metadata,
        Column("job_id", Text, nullable=False),
        Column("load", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("halted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("person", Text, nullable=False),
        Column("role", Text, nullable=False, server_default=text("session_user")),
        PrimaryKeyConstraint("job_id", "load"),
    )
