"""Sessions of a server: free connections, long transactions, blockers, prepared transactions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pipelines.doctor.health_finding import HealthFact, Observation, advise, warn
from schemas.errors import ErrorCode

BLOCKED_SECONDS = 1.0
"""Seconds from which a wait for a lock is reported: writers wait for each other in passing."""

_LIMITS = """
WITH others AS (
    SELECT usename, datname FROM pg_stat_activity
    WHERE usename IS NOT NULL AND datname IS NOT NULL
      AND NOT (starts_with(application_name, 'transfuse ')
               AND right(application_name, length(%(end)s)) = %(end)s))
SELECT current_setting('max_connections')::int,
    (SELECT sum(setting::int) FROM pg_settings
     WHERE name IN ('superuser_reserved_connections', 'reserved_connections'))::int,
    (SELECT count(*) FROM others)::int,
    (SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user),
    (SELECT count(*) FROM others WHERE usename = session_user)::int,
    (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
    (SELECT count(*) FROM others WHERE datname = current_database())::int,
    (SELECT rolsuper FROM pg_roles WHERE rolname = session_user),
    pg_has_role('pg_read_all_stats', 'USAGE'),
    quote_ident(session_user), quote_ident(current_database())
"""
"""Without the sessions of the job itself: a run that is at work has what it needs. The columns that
decide are those that a server shows to everybody."""

_LONG = """
SELECT pid, coalesce(state, 'hidden'), extract(epoch FROM now() - xact_start)::int
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
  AND xact_start < now() - make_interval(secs => %(seconds)s)
  AND NOT starts_with(application_name, 'transfuse ') AND pid <> pg_backend_pid()
ORDER BY xact_start
"""
"""Without sessions of Transfuse: the snapshot of a run is a transaction as long as the run."""

_BLOCKERS = """
WITH RECURSIVE held(pid, waiter, seconds) AS (
    SELECT b.pid, w.pid, extract(epoch FROM clock_timestamp() - l.waitstart)::float8
    FROM pg_stat_activity w
    JOIN pg_locks l ON l.pid = w.pid AND NOT l.granted
    CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b(pid)
    WHERE w.datname = current_database()
      AND l.waitstart < clock_timestamp() - make_interval(secs => %(seconds)s)
    UNION
    SELECT b.pid, waiter, seconds
    FROM held CROSS JOIN LATERAL unnest(pg_blocking_pids(held.pid)) AS b(pid))
SELECT a.pid, coalesce(a.state, 'hidden'), count(DISTINCT waiter), max(seconds)::int
FROM held JOIN pg_stat_activity a ON a.pid = held.pid
WHERE cardinality(pg_blocking_pids(a.pid)) = 0
GROUP BY 1, 2 ORDER BY 3 DESC, 1
"""

_HOLDERS = """
SELECT l.pid, min(l.relation::regclass::text), min(l.mode)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'v', 'm')
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
  AND NOT starts_with(a.application_name, 'transfuse ')
GROUP BY l.pid ORDER BY l.pid
"""

_PREPARED = """
SELECT gid, extract(epoch FROM now() - prepared)::int FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < now() - make_interval(secs => %(seconds)s)
ORDER BY prepared
"""


@dataclass(frozen=True)
class NeededConnections:
    """The connections that a run of a job needs: of a server, of a role there, of a database."""

    job: str
    server: int
    role: int
    database: int


def examine_sessions(
    place: str,
    connection: psycopg.Connection[Any],
    needed: NeededConnections,
    long_after: float,
) -> Iterator[Observation]:
    """Examine the sessions of a server.

    Args:
        place: The name of the server in the report.
        connection: A session of the diagnosis.
        needed: The connections that a run needs there.
        long_after: The seconds after which a transaction is too long.

    Yields:
        Facts and findings (CONN-005, SYS-002, SYS-005); the statements of sessions are left out,
        since they may hold values of rows.

    Raises:
        psycopg.Error: The server can't be asked.
    """
    yield from _examine_limits(place, connection, needed)
    seconds = {"seconds": long_after}
    long = connection.execute(_LONG.encode(), seconds).fetchall()
    yield HealthFact(place, "long transactions", len(long))
    for pid, state, age in long:
        yield warn(
            ErrorCode.SYS_002,
            f"{place}, session {pid}",
            f"a transaction has lasted {age:,} s ({state}): it can hold locks, and keeps dead rows"
            " from being removed",
            f"SELECT pg_terminate_backend({pid});",
        )
    blockers = connection.execute(_BLOCKERS.encode(), {"seconds": BLOCKED_SECONDS}).fetchall()
    yield HealthFact(place, "blocking sessions", len(blockers))
    for pid, state, waiting, age in blockers:
        yield warn(
            ErrorCode.SYS_005,
            f"{place}, session {pid}",
            f"{waiting} session{'s wait' if waiting > 1 else ' waits'} up to {age:,} s for a lock"
            f" that it holds ({state})",
            f"SELECT pg_terminate_backend({pid});",
        )
    for gid, age in connection.execute(_PREPARED.encode(), seconds).fetchall():
        yield warn(
            ErrorCode.SYS_005,
            f"{place}, prepared transaction",
            f"it was prepared {age:,} s ago and never finished: it holds its locks until then",
            f"ROLLBACK PREPARED {sql.Literal(gid).as_string(connection)};",
        )


def _examine_limits(
    place: str, connection: psycopg.Connection[Any], needed: NeededConnections
) -> Iterator[Observation]:
    row = connection.execute(_LIMITS.encode(), {"end": f" of {needed.job}"}).fetchone()
    assert row is not None
    most, reserved, used, of_role, by_role, of_database, in_database, *rest = row
    is_super, sees_all, role, name = rest
    usable = most if is_super else most - reserved
    yield HealthFact(place, "connections in use", used)
    yield HealthFact(place, "connections usable", usable)
    yield HealthFact(place, "connections needed", needed.server)
    limits = [
        (
            usable - used,
            needed.server,
            f"ALTER SYSTEM SET max_connections = {used + needed.server + reserved};"
            "  -- then restart the server; or lower limits.connections",
        )
    ]
    # Negative limits mean that there is none, and no limit holds for a superuser.
    if of_role is not None and of_role >= 0 and not is_super:
        fix = f"ALTER ROLE {role} CONNECTION LIMIT {by_role + needed.role};"
        limits.append((of_role - by_role, needed.role, fix))
    if of_database is not None and of_database >= 0 and not is_super:
        fix = f"ALTER DATABASE {name} CONNECTION LIMIT {in_database + needed.database};"
        limits.append((of_database - in_database, needed.database, fix))
    for free, wanted, fix in limits:
        if free < wanted:
            yield warn(
                ErrorCode.CONN_005,
                place,
                f"a run needs {wanted} connections, and {max(free, 0)} are free",
                fix,
            )
    if not sees_all:
        yield advise(
            ErrorCode.USER_002,
            place,
            f"the role {role} sees no transactions of other roles, so long ones aren't reported",
            f"GRANT pg_read_all_stats TO {role};",
        )


def lock_holders(place: str, connection: psycopg.Connection[Any]) -> Iterator[Observation]:
    """The sessions whose locks on tables of the database keep others from reading or writing.

    Args:
        place: The name of the server in the report.
        connection: A session of the diagnosis.

    Yields:
        A finding for each (SYS-005).

    Raises:
        psycopg.Error: The server can't be asked.
    """
    for pid, table, mode in connection.execute(_HOLDERS.encode()).fetchall():
        yield warn(
            ErrorCode.SYS_005,
            f"{place}, session {pid}",
            f"it holds {mode} on {table}, for which the diagnosis waited in vain",
            f"SELECT pg_terminate_backend({pid});",
        )
