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
}
"""The same for the server: when it considers a client to be gone."""

LOCK_TIMEOUT = "60s"
"""How long a conversation waits for a lock that another session holds, such as a writer that
is frozen. Then it is tried again like any other."""

TIMEOUTS: dict[str, str] = {
    "statement_timeout": "0",
    "lock_timeout": LOCK_TIMEOUT,
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
"""How long a statement, a wait or a transaction may take. Those of role, database and server are
made for applications: a snapshot lives in a transaction that is idle as long as the run goes on,
and an index of a large table takes its time. What the client itself has set, as with ``options`` in
the URL, stays. The last one came with PostgreSQL 17."""

SESSION_SETTINGS: dict[str, str] = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "array_nulls": "on",
    "xmloption": "content",
    "quote_all_identifiers": "off",
}


CLIENT_CHECK = 10
"""Seconds after which a server on Linux notices that the client of a statement is gone. Else the
statement of a process that was killed goes on to its end, and so do its locks."""

_OF_THE_SERVER = (
    "(SELECT count(set_config(name, CASE name {timeouts}"
    f" WHEN 'client_connection_check_interval' THEN '{CLIENT_CHECK}s' END, false))"
    " FROM pg_settings"
    " WHERE name IN ({names}) AND source <> 'client'"
    " OR name = 'client_connection_check_interval' AND setting = '0' AND version() ~ 'linux')"
)
"""What depends on the server: which time-outs it has, and where they come from. Whether a client is
gone not every system can detect, and its server would refuse."""


def session_setup(more: Mapping[str, str] | None = None, process: int | None = None) -> str:
    """SQL that sets a session up: one way to the server and back.

    Args:
        more: further settings, or other values of the shared ones.
        process: the server process that the client believes to talk to. In any other one nothing
            is set, and there is no row.
    """
    chosen = dict(more or {})
    timeouts = {name: value for name, value in TIMEOUTS.items() if name not in chosen}
    calls = [
        sql.SQL("set_config({}, {}, false)").format(name, value)
        for name, value in {**SESSION_SETTINGS, **SESSION_LIMITS, **chosen}.items()
    ]
    of_the_server = sql.SQL(_OF_THE_SERVER).format(
        timeouts=sql.SQL(" ").join(
            sql.SQL("WHEN {} THEN {}").format(name, value) for name, value in timeouts.items()
        ),
        names=sql.SQL(", ").join(map(sql.Literal, timeouts)),
    )
    condition: sql.Composable = sql.SQL("")
    if process is not None:
        condition = sql.SQL(" WHERE pg_backend_pid() = {}").format(process)
    return (
        sql.SQL("SELECT {}, {}{}")
        .format(sql.SQL(", ").join(calls), of_the_server, condition)
        .as_string()
    )
