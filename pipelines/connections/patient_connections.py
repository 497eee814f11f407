"""Connections that are tried several times, as ``limits.retry`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from schemas.specification.root import Specification
from transforms.model.run_context import Retrying
from transforms.model.session_names import ProcessSessions, session_name
from transforms.postgres.connections import connect
from transforms.postgres.retries import run_with_retries


def connect_patiently(
    specification: Specification, url: str, settings: Mapping[str, str] | None = None
) -> psycopg.Connection[Any]:
    """Open a connection, as often tried as ``limits.retry`` says.

    Args:
        specification: It has the limits.
        url: The database.
        settings: Settings of the session.

    Returns:
        The connection.

    Raises:
        TransfuseError: A CONN code, exit status 3.
    """
    name = session_name(ProcessSessions.verb, specification.job)

    def open_named() -> psycopg.Connection[Any]:
        return connect(url, settings=settings, name=name)

    return run_with_retries(retrying_of(specification), open_named)


def retrying_of(specification: Specification) -> Retrying:
    """``limits.retry`` as steps and launcher take it."""
    return Retrying(specification.limits.retry.attempts, specification.limits.retry.delay)
