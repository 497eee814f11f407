"""Logins that a server has refused, which this process doesn't try again for a while.

In a run each partition opens connections, and many sites lock an account after a few attempts with
a wrong password.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_manager
import psycopg
from psycopg.conninfo import conninfo_to_dict

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.postgres.connection_failures import connection_problem

REMEMBERED_SECONDS = 60.0
"""Longer than a run goes on in which nobody can log in."""

_OTHERWISE = ("application_name", "connect_timeout", "options")
"""Parameters that decide about the session and not about the login."""

_lock = threading.Lock()
_refused: dict[str, tuple[float, Problem]] = {}


@contextmanager
def each_login_once(url: str) -> Iterator[None]:
    """A context for one attempt to connect with either client library.

    Args:
        url: the connection string that the body uses.

    Raises:
        TransfuseError: CONN-002, exit status 3, where this login was refused a moment ago.
    """
    key = _key(url)
    with _lock:
        since, problem = _refused.get(key, (0.0, None))
    if problem is not None and time.monotonic() - since < REMEMBERED_SECONDS:
        raise TransfuseError(problem, ExitStatus.INCOMPLETE)
    try:
        yield
    except (psycopg.OperationalError, adbc_driver_manager.OperationalError) as error:
        if not isinstance(error, psycopg.Error):
            problem = connection_problem(psycopg.OperationalError(str(error)), url)
        else:
            problem = connection_problem(error, url)
        if problem.code is ErrorCode.CONN_002:
            with _lock:
                _refused[key] = (time.monotonic(), problem)
        raise


def forget_refused_logins() -> None:
    """Let every login be tried again: it may have been corrected before this run."""
    with _lock:
        _refused.clear()


def _key(url: str) -> str:
    """A digest, so that no further copy of the password stays in memory."""
    parts = {n: v for n, v in conninfo_to_dict(url).items() if n not in _OTHERWISE}
    spelled = "\0".join(f"{name}={parts[name]}" for name in sorted(parts))
    return hashlib.sha256(spelled.encode()).hexdigest()
