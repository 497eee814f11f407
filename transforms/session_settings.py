"""The settings under which every session with a PostgreSQL server runs, and its limits.

A value that travels as text, a boundary in a stored predicate and the hash of a row are
the server's own text forms, so two sessions agree on them only under the same settings.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

NETWORK_LIMITS: dict[str, str] = {
    "connect_timeout": "30",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "90000",
}
"""Parameters of libpq (seconds, the last one milliseconds) for URLs that don't say themselves: how
long a server that is gone may go unnoticed. 30 s to connect is the guide's, and 60 s of silence
with three unanswered probes are 90 s."""

SESSION_LIMITS: dict[str, str] = {
    "tcp_keepalives_idle": "60s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "90s",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""The same for the server: when it takes a client for gone, and that it does so on no other
ground. A snapshot lives in a transaction that is idle as long as the run goes on."""

LOCK_TIMEOUT = "60s"
"""How long a conversation waits for a lock that another session holds, such as a writer that
is frozen, where neither role nor database say so. Then it is tried again like any other."""

SESSION_SETTINGS: dict[str, str] = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    "bytea_output": "hex",
    "lc_monetary": "C",
}


CLIENT_CHECK = 10
"""Seconds after which a server on Linux notices that the client of a statement is gone. Else the
statement of a process that was killed goes on to its end, and so do its locks."""

_WAITS = (
    "(SELECT count(set_config(name, CASE name"
    f" WHEN 'lock_timeout' THEN '{LOCK_TIMEOUT}'"
    f" WHEN 'client_connection_check_interval' THEN '{CLIENT_CHECK}s' ELSE '0' END, false))"
    " FROM pg_settings"
    " WHERE name = 'lock_timeout' AND setting = '0' OR name = 'transaction_timeout'"
    " OR name = 'client_connection_check_interval' AND setting = '0' AND version() ~ 'linux')"
)
"""Bounds what a session waits for locks, and no transaction as a whole (a setting of
PostgreSQL 17). Whether a client is gone not every system can tell, and its server would refuse."""


def session_setup(more: Mapping[str, str] | None = None) -> str:
    """SQL that sets a session up, with ``more`` settings: one way to the server and back."""
    calls = [
        sql.SQL("set_config({}, {}, false)").format(name, value)
        for name, value in {**SESSION_SETTINGS, **SESSION_LIMITS, **(more or {})}.items()
    ]
    return sql.SQL("SELECT {}, {}").format(sql.SQL(", ").join(calls), sql.SQL(_WAITS)).as_string()
