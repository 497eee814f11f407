"""What it means when there is no connection to PostgreSQL: its CONN code, and what to do.

A failure to connect carries no SQLSTATE, so it is recognised by the words of libpq (English, since
its packages have no translations) and of the server (English or not, after its lc_messages).
Messages are our own: in theirs a part of a password can stand, where a URL was put
together wrongly.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import psycopg

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.database_url import url_place

PASSING = frozenset({ErrorCode.CONN_001, ErrorCode.CONN_004, ErrorCode.CONN_005})
"""Codes of failures that can pass within moments, unlike a wrong password or certificate."""


class _Failure(NamedTuple):
    """Signs in the words, any of which is enough, and what they mean."""

    signs: tuple[str, ...]
    code: ErrorCode
    message: str
    remedy: str


_NO_HOST = _Failure(
    ("resolve host", "translate host name", "name or service", "nodename nor servname"),
    ErrorCode.CONN_004,
    "there is no such host, or its name can't be looked up",
    "check the host of the URL: getent hosts HOST",
)

_FAILURES = (
    # The library that reads batches is built without Kerberos, the other one isn't.
    _Failure(
        ("gssapi", "authentication method 7", "authentication method 8", "gssencmode"),
        ErrorCode.CONN_002,
        "the server asks for Kerberos (GSSAPI), which the library that reads rows (ADBC) doesn't"
        " have",
        "give the role a password or a client certificate: in pg_hba.conf,"
        " 'host DATABASE ROLE ADDRESS scram-sha-256' before the line with 'gss', and no gssencmode"
        " in the URL",
    ),
    _Failure(
        ("unsupported startup parameter",),
        ErrorCode.SYS_004,
        "a connection pooler in front of the server refuses a parameter of the session, such as"
        " 'options' of the URL",
        "use the server's own port, or name it in the pooler's ignore_startup_parameters",
    ),
    # The driver that reads batches says no more where a row doesn't fit into memory.
    _Failure(
        ("out of memory", "allocate memory", "readrecord failed"),
        ErrorCode.SYS_001,
        "there is no memory left for what the server sends",
        "give the process more, or lower limits.memory",
    ),
    _Failure(
        ("definition of service", "service file"),
        ErrorCode.CONN_002,
        "the URL names a service that no service file here defines, or one that can't be read",
        "check its name, and PGSERVICEFILE of this process and of the workers",
    ),
    _Failure(
        ("is read-only", "hot standby mode"),
        ErrorCode.CONN_004,
        "none of the servers that the URL names accepts the sessions it asks for",
        "check the hosts and target_session_attrs of the URL, and which server is the primary",
    ),
    _Failure(
        ("too many clients", "remaining connection slots"),
        ErrorCode.CONN_005,
        "the server has no connection left",
        "free connections there, raise its max_connections, or lower limits.connections",
    ),
    _Failure(
        ("too many connections for",),
        ErrorCode.CONN_005,
        "the role or the database has no connection left",
        "raise its CONNECTION LIMIT, or lower limits.connections",
    ),
    _Failure(
        ("syscall error", "closed unexpectedly", "closed the connection", "unexpected eof"),
        ErrorCode.CONN_004,
        "the connection was lost",
        "check that the server runs, and what stands between here and there",
    ),
    _Failure(
        ("authentication failed", "no password supplied", "authentication method requirement"),
        ErrorCode.CONN_002,
        "the server doesn't accept role and password",
        "check them in the URL; the password may have expired",
    ),
    _Failure(
        ("no pg_hba.conf entry", "pg_hba.conf rejects"),
        ErrorCode.CONN_002,
        "the server's pg_hba.conf lets this role not in from here, or not without TLS",
        "add a line there, or check role, database and sslmode of the URL",
    ),
    _Failure(
        ('role "" does not exist', "not permitted to log in"),
        ErrorCode.CONN_002,
        "there is no such role, or it may not log in",
        "check the role of the URL",
    ),
    _Failure(
        ('database "" does not exist',),
        ErrorCode.CONN_002,
        "the server has no such database",
        "check the database of the URL",
    ),
    _Failure(
        ("permission denied for database",),
        ErrorCode.CONN_002,
        "the role may not connect to the database",
        "GRANT CONNECT ON DATABASE to it",
    ),
    _Failure(
        ("valid client certificate",),
        ErrorCode.CONN_003,
        "the server wants a client certificate",
        "name the files of certificate and key with sslcert and sslkey in the URL",
    ),
    _Failure(
        ("does not match host name", "host name must be specified"),
        ErrorCode.CONN_003,
        "the server's certificate is for another host name",
        "use the name that it is for in the URL",
    ),
    _Failure(
        ("does not support ssl",),
        ErrorCode.CONN_003,
        "the server has no TLS, and sslmode wants it",
        "switch TLS on there; only on a network that you trust, sslmode=prefer",
    ),
    _Failure(
        ("certificate verify failed", "unknown ca", "self-signed", "self signed"),
        ErrorCode.CONN_003,
        "a certificate is expired or of an unknown authority",
        "renew it, or name the authority's certificate with sslrootcert in the URL",
    ),
    _Failure(
        ("certificate expired",),
        ErrorCode.CONN_003,
        "the client certificate is expired",
        "renew what sslcert in the URL names",
    ),
    _Failure(
        ("certificate file", "private key", "crl file", "sslrootcert", "sslcert", "sslkey"),
        ErrorCode.CONN_003,
        "a file with a certificate or key can't be used",
        "check that the files of the URL are there, and that the key is readable by you alone",
    ),
    _Failure(
        ("certificate", "ssl ", "ssl:", "tls "),
        ErrorCode.CONN_003,
        "no TLS connection can be made",
        "check sslmode, sslrootcert, sslcert and sslkey of the URL, and what they name",
    ),
    _Failure(
        ("timeout", "timed out"),
        ErrorCode.CONN_001,
        "the server doesn't answer",
        "check that it runs and isn't overloaded, and firewalls between here and there",
    ),
    _Failure(
        ("starting up", "shutting down", "recovery mode", "not accepting connections"),
        ErrorCode.CONN_004,
        "the server takes no connections at the moment",
        "wait until it has started",
    ),
    _NO_HOST,
    _Failure(
        ("no such file or directory",),
        ErrorCode.CONN_004,
        "no server listens at the socket that the URL names",
        "check the folder of the socket and the port in the URL, and that the server runs",
    ),
    _Failure(
        ("refused",),
        ErrorCode.CONN_004,
        "the server refuses connections: nothing listens there",
        "check host and port of the URL, and that the server runs",
    ),
)

_UNKNOWN = _Failure(
    (),
    ErrorCode.CONN_004,
    "the server can't be reached, or the connection was lost",
    "check host and port of the URL, and that the server runs",
)

_OTHER_LANGUAGE = _Failure(
    (),
    ErrorCode.CONN_002,
    "the server refuses the role, its password, the database, or one connection more",
    "check them in the URL, and read the server's log",
)


class HostUnknown(TransfuseError):
    """The name of the host leads to no address (CONN-004). Waiting for long doesn't change that."""


def connection_error(error: psycopg.Error, url: str) -> TransfuseError:
    """The TransfuseError (exit status 3) for a failure to connect to ``url``."""
    problem = connection_problem(error, url)
    kind = HostUnknown if problem.message == _NO_HOST.message else TransfuseError
    return kind(problem, ExitStatus.INCOMPLETE)


def connection_problem(error: psycopg.Error, url: str) -> Problem:
    """The problem behind a failure to connect to ``url``, or a connection that was lost.

    Its code is a CONN code, or SYS-001.
    """
    code, message, remedy = _failure_of(error)[1:]
    return Problem(code, message, url_place(url), remedy)


def _failure_of(error: psycopg.Error) -> _Failure:
    # Names stand in quotes, and a role could be called 'timeout'.
    words = re.sub(r'"[^"\n]*"', '""', str(error)).lower()
    for failure in _FAILURES:
        if any(sign in words for sign in failure.signs):
            return failure
    # A server that asked for a password is there, and has said no in another language.
    asked = error.pgconn is not None and (error.pgconn.needs_password or error.pgconn.used_password)
    return _OTHER_LANGUAGE if asked else _UNKNOWN
