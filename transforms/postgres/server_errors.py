"""Where in the server an error arose: in a function of the database, or in the server itself."""

from __future__ import annotations

import re

import psycopg

_LANGUAGE_FILES = frozenset(
    {"pl_exec.c", "plperl.c", "plpy_elog.c", "plpy_plpymodule.c", "plpy_spi.c", "pltcl.c"}
)
"""Source files of the procedural languages of PostgreSQL, from which functions raise errors."""

_FUNCTION = re.compile(r"PL/[^\n]*?([^\s(]+\([^)\n]*\))[^\d\n]*(\d+)")
"""The first line of a context that begins in a function, in any language of the server's."""


def is_raised_by_function(error: psycopg.Error) -> bool:
    """Whether code of the database raised the error with an SQLSTATE of its own choice."""
    return (error.diag.source_file or "") in _LANGUAGE_FILES


def is_missing_object_or_right(error: psycopg.Error) -> bool:
    """Whether the server itself reports that a right or an object of the database is missing."""
    state = error.sqlstate or ""
    if is_raised_by_function(error) or is_of_row_security(error):
        return False
    return state in _MISSING or (error.diag.source_function or "").startswith("aclcheck_error")


_MISSING = ("3F000", "42501", "42703", "42704", "42883", "42P01")


def raising_function(error: psycopg.Error) -> str | None:
    """The innermost function in which the error arose: ``f(integer), line 3``.

    The rest of the error's context can hold values of a row.
    """
    match = _FUNCTION.match(error.diag.context or "")
    return f"{match[1]}, line {match[2]}" if match else None


def is_of_row_security(error: psycopg.Error) -> bool:
    """Whether row-level security refused the statement or a row of it."""
    place, state = error.diag.source_function or "", error.sqlstate
    if place == "ExecWithCheckOptions":
        return state == "42501"
    return (place, state) == ("DoCopy", "0A000") or place == "check_enable_rls"
