"""Connections to PostgreSQL, under the settings that all sessions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.database_url import FORM, SCHEMES, find_url_problem, url_place
from transforms.model.session_names import ProcessSessions
from transforms.postgres.connection_failures import connection_error
from transforms.postgres.poolers import refuse_shared_sessions
from transforms.postgres.refused_logins import each_login_once
from transforms.postgres.session_settings import NETWORK_LIMITS, session_setup
from transforms.postgres.verbatim_cursor import VerbatimCursor


def connect(
    url: str,
    autocommit: bool = True,
    settings: Mapping[str, str] | None = None,
    name: str | None = None,
) -> psycopg.Connection[Any]:
    """Connect under the session settings that all of Transfuse's sessions share.

    A login that the server has refused is not tried again for a while: accounts are locked after
    a few wrong passwords.

    Args:
        url: a URL or another connection string of libpq.
        autocommit: whether each statement outside of a transaction is one of its own.
        settings: further settings of the session, or other values of the shared ones.
        name: the session's name on the server, unless the URL has one; None for that of the
            process.

    Returns:
        The connection.

    Raises:
        TransfuseError: with the CONN code of what is wrong (exit status 3), or with SYS-004
            (exit status 2) for a URL that can't be read, a server that is too old, and a pooler
            that gives each transaction another session.
    """
    refuse_faulty(url)
    connection = _log_in(url, name or ProcessSessions.name)
    try:
        _set_up(connection, url, settings)
        connection.autocommit = autocommit
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        connection.close()
        raise connection_error(error, url) from None
    except psycopg.Error as error:
        connection.close()
        problem = Problem(
            ErrorCode.SYS_004,
            f"the server can't be used (SQLSTATE {error.sqlstate})",
            url_place(url),
            "it has to be PostgreSQL 14 or later",
        )
        raise TransfuseError(problem) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _log_in(url: str, name: str) -> psycopg.Connection[Any]:
    """Open a session that isn't set up yet."""
    try:
        with each_login_once(url):
            named = add_session_name(add_network_limits(url), name)
            return psycopg.connect(named, autocommit=True, cursor_factory=VerbatimCursor)
    except psycopg.ProgrammingError:
        problem = Problem(ErrorCode.SYS_004, "the URL can't be read", url_place(url), FORM)
        raise TransfuseError(problem) from None
    except psycopg.OperationalError as error:
        raise connection_error(error, url) from None


def _set_up(
    connection: psycopg.Connection[Any], url: str, settings: Mapping[str, str] | None
) -> None:
    """Set the session up, unless it would be shared with other clients of a pooler."""
    # A pooler names a process of its own. The settings wait until it is sure to keep sessions.
    own = connection.info.backend_pid
    if connection.execute(session_setup(settings, own).encode()).fetchone() is None:
        refuse_shared_sessions(connection, add_network_limits(url), url_place(url))
        connection.execute(session_setup(settings).encode())


def refuse_faulty(url: str) -> None:
    """Refuse a URL that can be read in two ways, before any part of it goes anywhere.

    Raises:
        TransfuseError: SYS-004, exit status 2.
    """
    problem = find_url_problem(url) if url.startswith(SCHEMES) else None
    if problem is not None:
        raise TransfuseError(Problem(ErrorCode.SYS_004, problem.message, "", problem.remedy))


def add_session_name(url: str, name: str) -> str:
    """Add a name for the server's list of sessions to a URL that has none.

    Returns:
        The connection string.

    Raises:
        psycopg.ProgrammingError: the URL can't be read.
    """
    return make_conninfo("", **{"application_name": name, **conninfo_to_dict(url)})


def add_network_limits(url: str) -> str:
    """Add those of NETWORK_LIMITS to a URL that it doesn't set itself.

    Returns:
        The connection string.

    Raises:
        psycopg.ProgrammingError: the URL can't be read.
    """
    return make_conninfo("", **{**NETWORK_LIMITS, **conninfo_to_dict(url)})


def pin_server(url: str, connection: psycopg.Connection[Any]) -> str:
    """Restrict a URL to the server that a connection has reached.

    A URL can name several hosts, and a name can lead to another address a moment later. The name
    of the host stays, since certificates and password files go by it.

    Args:
        url: the URL that was connected to.
        connection: an open connection.

    Returns:
        A connection string with one host, address and port, and no choice among servers.
    """
    parts = conninfo_to_dict(url)
    if "service" in parts and "," not in connection.info.get_parameters().get("host", ""):
        # Each machine has its own service file, perhaps with another name for the server.
        return url
    for choice in ("target_session_attrs", "load_balance_hosts"):
        parts.pop(choice, None)
    info = connection.info
    parts |= {"host": info.host, "port": str(info.port)}
    if not info.host.startswith(("/", "@")) and info.hostaddr:
        parts["hostaddr"] = info.hostaddr
    return make_conninfo("", **parts)
