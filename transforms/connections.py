"""Connections to PostgreSQL, under the settings that all sessions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.connection_failures import connection_problem, place
from transforms.session_settings import NETWORK_LIMITS, session_setup
from transforms.verbatim_cursor import VerbatimCursor


def connect(
    url: str, autocommit: bool = True, settings: Mapping[str, str] | None = None
) -> psycopg.Connection[Any]:
    """A connection under the session settings that all of Transfuse's sessions share.

    ``settings`` are further ones, or other values of these.
    Raises TransfuseError: with the CONN code of what is wrong (exit status 3), or with SYS-004
    for a URL that can't be read and a server that is too old (exit status 2).
    """
    try:
        connection = psycopg.connect(limited(url), autocommit=True, cursor_factory=VerbatimCursor)
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
        connection.execute(session_setup(settings).encode())
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


def named(url: str, name: str) -> str:
    """The connection string of ``url`` with a name for the server's list of sessions, where it has
    none of its own.

    Raises psycopg.ProgrammingError where it can't be read.
    """
    return make_conninfo("", **{"application_name": name, **conninfo_to_dict(url)})


def limited(url: str) -> str:
    """The connection string of ``url`` with NETWORK_LIMITS where it has none of its own.

    Raises psycopg.ProgrammingError where it can't be read.
    """
    return make_conninfo("", **{**NETWORK_LIMITS, **conninfo_to_dict(url)})
