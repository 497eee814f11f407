"""Settings of the target that matter for a backfill, its cache, and its slow statements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from pipelines.doctor.health_finding import HealthFact, Observation, advise, warn
from schemas.errors import ErrorCode

_GIGABYTE = 2**30

_SETTINGS = """
SELECT name, setting, current_setting(name),
    CASE unit WHEN 'MB' THEN setting::int8 * 2^20 WHEN 'kB' THEN setting::int8 * 2^10
        WHEN '8kB' THEN setting::int8 * 2^13 WHEN 's' THEN setting::int8 END::int8
FROM pg_settings WHERE name = ANY(%s) ORDER BY name
"""

_WANTED = (
    ("max_wal_size", 4 * _GIGABYTE, "8GB", "checkpoints come often, and each writes whole pages"),
    ("checkpoint_timeout", 900, "15min", "checkpoints come often, and each writes whole pages"),
    ("maintenance_work_mem", _GIGABYTE // 4, "1GB", "indexes are built in several passes"),
)
"""The settings of PostgreSQL's documentation (Populating a Database) that a reload changes."""

_SHOWN = ("autovacuum", "fsync", "shared_buffers", "synchronous_commit", "wal_compression")

_ENOUGH_READS = 100_000
"""Pages from which a hit ratio says something."""

WANTED_HIT_RATIO = 0.95
"""The guide's 95 % of pages that are read from the cache."""

_CACHE = """
SELECT blks_hit::int8, (blks_hit + blks_read)::int8 FROM pg_stat_database
WHERE datname = current_database()
"""

_STATEMENTS_TABLE = """
SELECT quote_ident(n.nspname) || '.pg_stat_statements' FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements' AND string_to_array(e.extversion, '.')::int[] >= '{1,8}'
"""

_SLOW = """
SELECT queryid, calls, mean_exec_time, total_exec_time FROM {table}
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND queryid IS NOT NULL AND calls >= 10 AND mean_exec_time >= 1000
  AND query ~* '^\\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH)\\M'
ORDER BY total_exec_time DESC LIMIT 5
"""


def examine_settings(target: psycopg.Connection[Any]) -> Iterator[Observation]:
    """Examine the settings of the target, its cache and its slow statements.

    Args:
        target: A session of the diagnosis.

    Yields:
        Facts, and findings (SYS-002, SYS-004) with statements.

    Raises:
        psycopg.Error: The target can't be asked.
    """
    names = [name for name, *_ in _WANTED] + list(_SHOWN)
    rows = target.execute(_SETTINGS.encode(), [names]).fetchall()
    settings = {name: (shown, size) for name, _, shown, size in rows}
    for name, (shown, _) in settings.items():
        yield HealthFact("target", name, shown)
    for name, least, better, why in _WANTED:
        shown, size = settings[name]
        if size < least:
            reason = f"{name} is {shown}: while many rows are written, {why}"
            yield advise(ErrorCode.SYS_002, "target", reason, _set(name, better))
    if settings["wal_compression"][0] == "off":
        reason = "wal_compression is off: whole pages go into the WAL uncompressed"
        yield advise(ErrorCode.SYS_002, "target", reason, _set("wal_compression", "on"))
    if settings["fsync"][0] == "off":
        reason = "fsync is off: a crash of the server's machine can destroy the database"
        yield advise(ErrorCode.SYS_004, "target", reason, _set("fsync", "on"))
    if settings["autovacuum"][0] == "off":
        reason = "autovacuum is off: statistics get old, and dead rows stay"
        yield warn(ErrorCode.SYS_002, "target", reason, _set("autovacuum", "on"))
    yield from _examine_cache(target, settings["shared_buffers"][1])
    yield from _examine_statements(target)


def _set(name: str, value: str) -> str:
    # ALTER SYSTEM runs in no transaction, so the statements are to be sent one by one.
    return f"ALTER SYSTEM SET {name} = '{value}';\nSELECT pg_reload_conf();"


def _examine_cache(target: psycopg.Connection[Any], buffers: int) -> Iterator[Observation]:
    hits, reads = target.execute(_CACHE.encode()).fetchone() or (0, 0)
    if reads < _ENOUGH_READS:
        return
    yield HealthFact("target", "cache hit ratio (%)", round(100 * hits / reads, 1))
    if hits < WANTED_HIT_RATIO * reads:
        yield advise(
            ErrorCode.SYS_002,
            "target",
            f"{100 * hits / reads:.1f} % of pages come from the cache, and 95 % or more should",
            f"ALTER SYSTEM SET shared_buffers = '{2 * buffers // 2**20}MB';  -- then restart the"
            " server",
        )


def _examine_statements(target: psycopg.Connection[Any]) -> Iterator[Observation]:
    """Slow statements by their ids: not every text of them is without values."""
    row = target.execute(_STATEMENTS_TABLE.encode()).fetchone()
    yield HealthFact("target", "pg_stat_statements", "installed" if row else "not installed")
    if row is None:
        return
    try:
        slow = target.execute(_SLOW.format(table=row[0]).encode()).fetchall()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        yield HealthFact("target", "slow statements", "shared_preload_libraries lacks it")
        return
    for query, calls, mean, total in slow:
        yield advise(
            ErrorCode.SYS_002,
            f"target, statement {query}",
            f"{calls:,} calls took {mean / 1000:.1f} s each, {total / 1000:,.0f} s together",
            f"SELECT query FROM {row[0]} WHERE queryid = {query};  -- then EXPLAIN it",
        )
