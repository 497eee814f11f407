"""Connections to PostgreSQL, and what it means when there is none.

A failure to connect carries no SQLSTATE, so it is told by the words of libpq; libpq's
messages about connections hold host, user and database, never a row.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.session_settings import NETWORK_LIMITS, session_setup

_BY_WORDS: tuple[tuple[ErrorCode, tuple[str, ...], str], ...] = (
    (
        ErrorCode.CONN_005,
        ("too many clients", "remaining connection slots", "too many connections"),
        "free connections on the server, or lower limits.connections",
    ),
    (
        ErrorCode.CONN_003,
        ("certificate", "ssl ", "tls "),
        "check the certificates, sslmode and sslrootcert of the URL",
    ),
    (
        ErrorCode.CONN_002,
        ("authentication failed", "no password", "does not exist", "pg_hba", "not permitted"),
        "check user, password and database of the URL, and the server's pg_hba.conf",
    ),
    (
        ErrorCode.CONN_001,
        ("timeout", "timed out"),
        "check that the server answers, and firewalls between here and there",
    ),
)


def connect(url: str, autocommit: bool = True) -> psycopg.Connection[Any]:
    """A connection under the session settings that all of Transfuse's sessions share.

    Raises TransfuseError: with the CONN code of what is wrong (exit status 3), or with SYS-004
    for a URL that can't be read and a server that is too old (exit status 2).
    """
    try:
        connection = psycopg.connect(limited(url), autocommit=True)
    except psycopg.ProgrammingError:
        problem = Problem(
            ErrorCode.SYS_004,
            "the URL can't be read",
            place(url),
            "write postgresql://USER@HOST:PORT/DATABASE",
        )
        raise TransfuseError(problem) from None
    except psycopg.OperationalError as error:
        raise TransfuseError(connection_problem(error, url), ExitStatus.INCOMPLETE) from None
    try:
        connection.execute(session_setup().encode())
        connection.autocommit = autocommit
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        connection.close()
        raise TransfuseError(connection_problem(error, url), ExitStatus.INCOMPLETE) from None
    except psycopg.Error as error:
        connection.close()
        problem = Problem(
            ErrorCode.SYS_004,
            f"the server can't be used (SQLSTATE {error.sqlstate})",
            place(url),
            "it has to be PostgreSQL 14 or later",
        )
        raise TransfuseError(problem) from None
    return connection


def limited(url: str) -> str:
    """The connection string of ``url`` with NETWORK_LIMITS where it has none of its own.

    Raises psycopg.ProgrammingError where it can't be read.
    """
    return make_conninfo("", **{**NETWORK_LIMITS, **conninfo_to_dict(url)})


def connection_problem(error: psycopg.Error, url: str) -> Problem:
    """The CONN problem behind a failure to connect, or a connection that was lost."""
    words = str(error).lower()
    for code, signs, remedy in _BY_WORDS:
        if any(sign in words for sign in signs):
            return Problem(code, code.description.lower(), place(url), remedy)
    return Problem(
        ErrorCode.CONN_004,
        "the server can't be reached, or the connection was lost",
        place(url),
        "check host and port of the URL, and that the server runs",
    )


def place(url: str) -> str:
    """Where a URL points to, without user and password: ``host:port/database``."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "the database"
    host, port = parts.get("host", "localhost"), parts.get("port", "5432")
    return f"{host}:{port}/{parts.get('dbname', '')}"
