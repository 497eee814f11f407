"""Explains errors of a database to a person, with the table that they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_manager
import psycopg

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.postgres.database_problems import describe_error


def database_problem(error: Exception, where: str = "") -> Problem | None:
    """Explain an error of a database.

    Args:
        error: Any exception.
        where: The place for the problem.

    Returns:
        The problem; None for another exception, and for a defect of ours.
    """
    if not isinstance(error, (psycopg.Error, adbc_driver_manager.Error)):
        return None
    code, message, remedy = describe_error(error, "")
    # Statements that the server doesn't understand are ours: a crash.
    misunderstood = str(getattr(error, "sqlstate", None) or "").startswith("42")
    if code is not ErrorCode.USER_002 and (misunderstood or code is ErrorCode.SYS_003):
        return None
    return Problem(code, message, where, remedy or "see to the database, and start again")


@contextmanager
def translate_errors(where: str) -> Iterator[None]:
    """Raise errors of a database as problems of a place.

    Args:
        where: The place, such as ``table patients, in the source``.

    Raises:
        TransfuseError: Exit status 3, for an error of a database within the context.
    """
    try:
        yield
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        problem = database_problem(error, where)
        if problem is None:
            raise
        raise TransfuseError(problem, ExitStatus.INCOMPLETE) from error
