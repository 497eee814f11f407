"""The code and the remedy of an error that a database or a step raised."""

from __future__ import annotations

import getpass
import os
from typing import NamedTuple

import adbc_driver_manager
import psycopg
import pyarrow as pa
from psycopg.conninfo import conninfo_to_dict

from schemas.errors import ErrorCode
from transforms.postgres.connection_failures import PASSING, connection_problem
from transforms.postgres.server_errors import (
    is_of_row_security,
    is_raised_by_function,
    raising_function,
)
from transforms.resources.memory_limits import describe_need, is_memory_shortage


class DatabaseProblem(NamedTuple):
    """The code of an error, and a message that names the kind of error.

    The text of a database's error may hold a row, so the message has its SQLSTATE instead.
    ``remedy`` is empty where nothing is known that the cause doesn't say.
    """

    code: ErrorCode
    message: str
    remedy: str = ""


def describe_error(error: Exception, url: str) -> DatabaseProblem:
    """The problem behind an error of a conversation with the database at ``url``."""
    state = _state_of(error)
    meaning = _of_a_read(error, state) or _by_place(error)
    meaning = meaning or next(
        (candidate for prefix, candidate in _BY_STATE if state.startswith(prefix)), None
    )
    code, message, remedy = meaning or _otherwise(error, state, url)
    if meaning is _ROW_SECURITY:
        remedy = remedy.format(role=_role_of(url))
    kind = f"{type(error).__name__}, SQLSTATE {state}" if state else type(error).__name__
    function = raising_function(error) if isinstance(error, psycopg.Error) else None
    if function is not None:
        kind += f", in {function}"
    return DatabaseProblem(code, f"{message or code.description.lower()} ({kind})", remedy)


def may_pass(error: BaseException) -> bool:
    """Whether the same conversation could go well a moment later."""
    state = _state_of(error)
    if state:
        return state.startswith(_RETRIED_STATES)
    if isinstance(error, adbc_driver_manager.OperationalError):
        error = psycopg.OperationalError(str(error))
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    # Neither can a login that was refused, nor a certificate.
    return connection_problem(error, "").code in (*PASSING, ErrorCode.SYS_001)


def is_recovery_conflict(error: BaseException) -> bool:
    """Whether a standby has canceled a read, because of what it replays of its primary.

    A transaction that only reads has no other reason to fail so.
    """
    if isinstance(error, adbc_driver_manager.Error):
        return _state_of(error).startswith("40")
    return False


def _of_a_read(error: BaseException, state: str) -> _Meaning | None:
    return RECOVERY_CONFLICT if state and is_recovery_conflict(error) else None


def _state_of(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


class _Meaning(NamedTuple):
    code: ErrorCode
    message: str = ""
    remedy: str = ""


def _by_place(error: Exception) -> _Meaning | None:
    """What the place in the server's code says beyond the SQLSTATE."""
    if not isinstance(error, psycopg.Error) or not error.sqlstate:
        return None
    place = error.diag.source_function or ""
    if place.startswith("aclcheck_error"):
        # The server names the object, and no value of a row.
        message = f"a right is missing: {error.diag.message_primary}"
        return _Meaning(ErrorCode.USER_002, message, "grant the role this right, and start again")
    if is_of_row_security(error):
        return _ROW_SECURITY
    if is_raised_by_function(error) and not _state_of(error).startswith(_RETRIED_STATES):
        return _RAISED
    return None


_ROW_SECURITY = _Meaning(
    ErrorCode.USER_002,
    "row-level security of the table keeps the role from reading or writing all of its rows",
    "ALTER ROLE {role} BYPASSRLS; (as a superuser), or use the role that owns the table where"
    " FORCE ROW LEVEL SECURITY isn't set; then start again",
)


def _otherwise(error: Exception, state: str, url: str) -> _Meaning:
    if state:
        return _Meaning(ErrorCode.SYS_005)
    if isinstance(error, adbc_driver_manager.OperationalError):
        error = psycopg.OperationalError(str(error))
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        problem = connection_problem(error, url)
        return _Meaning(problem.code, problem.message, problem.remedy)
    if isinstance(error, pa.ArrowMemoryError) or is_memory_shortage(error):
        return _Meaning(ErrorCode.SYS_001, f"no memory is left: {describe_need()}")
    if isinstance(error, OSError):
        return _Meaning(ErrorCode.SYS_005, "this machine refuses a file")
    return _Meaning(ErrorCode.SYS_003)


def _role_of(url: str) -> str:
    """The role of a session, quoted as in SQL; as libpq takes it where the URL names none."""
    try:
        name = conninfo_to_dict(url).get("user")
    except psycopg.ProgrammingError:
        name = None
    name = str(name or os.environ.get("PGUSER") or getpass.getuser())
    return psycopg.sql.Identifier(name).as_string()


RECOVERY_CONFLICT = _Meaning(
    ErrorCode.SYS_005,
    "the source is a standby, and has canceled the read in favor of changes of its primary",
    "on the standby: ALTER SYSTEM SET hot_standby_feedback = on;"
    " ALTER SYSTEM SET max_standby_streaming_delay = -1; SELECT pg_reload_conf();"
    " then start again, or read from the primary",
)

_RAISED = _Meaning(
    ErrorCode.SYS_004,
    "the database can't compute a row",
    "fix the view, query, trigger or constraint that raises on its rows, and start again",
)

_BY_STATE = (
    ("08", _Meaning(ErrorCode.CONN_004)),
    (
        # None of the server's: see transforms/target_rows/blame.py.
        "09",
        _Meaning(
            ErrorCode.SYS_004,
            "a trigger of the statement deletes rows of the job's tables, or changes"
            " session_replication_role",
            "change the trigger, or disable it while migrating (the warning before the run has the"
            " statement); then start again",
        ),
    ),
    ("0A", _Meaning(ErrorCode.SYS_004, "the database doesn't do what it is asked for")),
    ("21", _RAISED),
    ("22", _RAISED),
    ("23", _RAISED),
    (
        "25P03",
        _Meaning(
            ErrorCode.CONN_001,
            "this process stood still in a transaction, and the server has ended it",
            "see what froze the process or its machine, take an"
            " idle_in_transaction_session_timeout out of the options of the URL, and start again",
        ),
    ),
    (
        "25006",
        _Meaning(
            ErrorCode.SYS_005,
            "a statement would write, and its transaction is read-only",
            "in a source, which is only read: take what writes out of the view, the query or its"
            " functions; in the target: connect to a server that can be written to",
        ),
    ),
    ("28", _Meaning(ErrorCode.CONN_002)),
    ("38", _RAISED),
    ("39", _RAISED),
    (
        "40",
        _Meaning(
            ErrorCode.SYS_005,
            "the transaction was in the way of another one",
            "see who else writes to these tables, and start again",
        ),
    ),
    ("42501", _Meaning(ErrorCode.USER_002, "", "grant the role what it needs, and start again")),
    (
        "42",
        _Meaning(
            ErrorCode.SYS_004,
            "the database doesn't have what it is asked for",
            "compare its schema with the specification",
        ),
    ),
    ("44", _RAISED),
    ("53200", _Meaning(ErrorCode.SYS_001)),
    ("53300", _Meaning(ErrorCode.CONN_005)),
    ("53100", _Meaning(ErrorCode.SYS_005, "the disk is full", "make room, and start again")),
    (
        "55P03",
        _Meaning(
            ErrorCode.SYS_005,
            "another session holds a lock for too long",
            "see in pg_locks who holds it, and start again",
        ),
    ),
    (
        "57014",
        _Meaning(
            ErrorCode.CONN_001,
            "the statement was canceled: by a statement_timeout in the URL's options or PGOPTIONS"
            " (that of a role or database doesn't hold here), or by an administrator",
            "take statement_timeout out of the options, or see the server's log for who cancels"
            " statements; then start again",
        ),
    ),
    (
        "25P04",
        _Meaning(
            ErrorCode.CONN_001,
            "the transaction was ended by a transaction_timeout in the URL's options or PGOPTIONS",
            "take transaction_timeout out of the options, and start again",
        ),
    ),
    (
        "57P05",
        _Meaning(
            ErrorCode.CONN_001,
            "the session was ended by an idle_session_timeout",
            "take idle_session_timeout out of the options of the URL, and start again",
        ),
    ),
    (
        "57P01",
        _Meaning(
            ErrorCode.CONN_004,
            "an administrator has ended the session, or the server was shut down",
            "see the server's log, and start again",
        ),
    ),
    ("57", _Meaning(ErrorCode.CONN_004)),
    ("P0", _RAISED),
)
"""SQLSTATE classes and conditions (PostgreSQL, Appendix A), the longer before the shorter.
Of any other state the database has no means left, or a fault: SYS-005."""

_RETRIED_STATES = ("08", "25P03", "25P04", "40", "53", "55P03", "57")
"""Conditions that can pass: connection lost, a transaction that stood still, serialization failure
and deadlock, resources exhausted, lock not available, operator intervention."""
