"""What it means when a database doesn't do what the launcher asks, and about which table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_manager
import psycopg

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.postgres.database_problems import describe_error


def database_problem(error: Exception, where: str = "") -> Problem | None:
    """The problem behind a database's error; None for any other, and for what is our mistake."""
    if not isinstance(error, (psycopg.Error, adbc_driver_manager.Error)):
        return None
    code, told, remedy = describe_error(error, "")
    # Statements that the server doesn't understand are ours: a crash.
    misunderstood = str(getattr(error, "sqlstate", None) or "").startswith("42")
    if code is not ErrorCode.USER_002 and (misunderstood or code is ErrorCode.SYS_003):
        return None
    return Problem(code, told, where, remedy or "see to the database, and start again")


@contextmanager
def told_for(where: str) -> Iterator[None]:
    """Raises a database's error as TransfuseError (exit status 3) that says where."""
    try:
        yield
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        problem = database_problem(error, where)
        if problem is None:
            raise
        raise TransfuseError(problem, ExitStatus.INCOMPLETE) from error
