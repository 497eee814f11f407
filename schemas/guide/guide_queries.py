"""Steps with SQL that several entries of the guide share."""

from __future__ import annotations

from schemas.errors import ErrorCode
from schemas.guide.guide_step import CommandScope, GuideStep, sql


def recorded_violations(code: ErrorCode) -> GuideStep:
    """The open violations of a code, by load, rule, field and reason."""
    return sql(
        "Count the open violations by load, rule and reason (no values are stored).",
        f"""
SELECT load, rule_id, field, reason, count(*) AS violations
FROM {{control}}migration_errors
WHERE job_id = '{{job_name}}' AND error_code = '{code.value}'
    AND status = 'open'
GROUP BY load, rule_id, field, reason
ORDER BY violations DESC;
""",
        CommandScope.TARGET,
    )


def failed_partitions(code: ErrorCode) -> GuideStep:
    """The partitions that failed with a code."""
    return sql(
        "List the partitions that failed with this code.",
        f"""
SELECT load, partition_id, attempts, finished_at, error
FROM {{control}}migration_partitions
WHERE job_id = '{{job_name}}' AND error_code = '{code.value}'
ORDER BY load, partition_id;
""",
        CommandScope.TARGET,
    )


SOURCE_TYPES = sql(
    "Look at the types of the source columns.",
    """
SELECT attname AS column_name,
    format_type(atttypid, atttypmod) AS data_type, attnotnull AS not_null
FROM pg_attribute
WHERE attrelid = '{source_table}'::regclass
    AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;
""",
    CommandScope.SOURCE_TABLES,
)

TARGET_TYPES = sql(
    "Look at the types of the target columns.",
    """
SELECT attname AS column_name,
    format_type(atttypid, atttypmod) AS data_type, attnotnull AS not_null
FROM pg_attribute
WHERE attrelid = '{target_table}'::regclass
    AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;
""",
    CommandScope.TARGET_TABLES,
)

BLOCKING_SESSIONS = sql(
    "Find sessions that block others; the last column is the statement that ends them.",
    """
SELECT blocked.pid AS blocked_pid, blocked.usename AS blocked_user,
    blocking.pid AS blocking_pid, blocking.usename AS blocking_user,
    blocking.application_name AS blocking_application, blocking.state,
    blocked.query AS blocked_statement,
    blocking.query AS blocking_statement,
    format('SELECT pg_terminate_backend(%s);', blocking.pid) AS ends_it
FROM pg_stat_activity AS blocked
CROSS JOIN LATERAL unnest(pg_blocking_pids(blocked.pid)) AS holder(pid)
JOIN pg_stat_activity AS blocking ON blocking.pid = holder.pid;
""",
    CommandScope.SERVERS,
    replaces=("SELECT blocked_locks.pid AS blocked_pid",),
    differs="the guide joins locks by their type alone, which pairs sessions that don't block"
    " each other; pg_blocking_pids() names the real ones",
)

SLOW_QUERIES = sql(
    "List the slowest statements, if the extension pg_stat_statements is installed.",
    """
SELECT query, calls, total_exec_time, mean_exec_time, rows,
    100.0 * shared_blks_hit
        / nullif(shared_blks_hit + shared_blks_read, 0) AS hit_percent
FROM pg_stat_statements
ORDER BY total_exec_time DESC
LIMIT 20;
""",
    CommandScope.SERVERS,
    replaces=("SELECT query, mean_time, calls, total_time", "SELECT query, calls, total_time"),
    differs="mean_time and total_time are called mean_exec_time and total_exec_time since"
    " PostgreSQL 13",
)

SESSIONS = sql(
    "Count the sessions by role, program and state.",
    """
SELECT usename, application_name, state, count(*) AS sessions
FROM pg_stat_activity
GROUP BY usename, application_name, state
ORDER BY sessions DESC;
""",
    CommandScope.SERVERS,
)

INVALID_INDEXES = sql(
    "Look for indexes that a failed CREATE INDEX CONCURRENTLY left unusable.",
    """
SELECT indexrelid::regclass AS index, indrelid::regclass AS table
FROM pg_index
WHERE NOT indisvalid;
""",
    CommandScope.SERVERS,
)

MEASURED = sql(
    "See the last measurements of the job.",
    """
SELECT at, rows_per_second, seconds_per_partition, rejected_percent,
    cpu_percent, memory_percent, disk_percent
FROM {control}migration_metrics
WHERE job_id = '{job_name}'
ORDER BY at DESC
LIMIT 20;
""",
    CommandScope.TARGET,
)

ALERTS = sql(
    "See its last alerts.",
    """
SELECT began_at, ended_at, metric, error_code, severity, threshold,
    worst, message
FROM {control}migration_alerts
WHERE job_id = '{job_name}'
ORDER BY began_at DESC
LIMIT 20;
""",
    CommandScope.TARGET,
)

HBA_RULES = sql(
    "As administrator: read the rules by which the server lets clients in.",
    """
SELECT line_number, type, database, user_name, address, auth_method,
    error
FROM pg_hba_file_rules
ORDER BY line_number;
""",
    CommandScope.SERVERS,
    ("sudo cat /etc/postgresql/13/main/pg_hba.conf",),
    "the path of the file depends on version and system; the view shows the rules of this"
    " server and the lines that it can't read",
)
