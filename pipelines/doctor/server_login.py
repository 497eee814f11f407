"""The login to a server: whether it works, the server's version, and the time of a round trip."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipelines.doctor.health_finding import (
    FindingLevel,
    HealthFact,
    HealthFinding,
    Observation,
    advise,
    finding_of,
)
from schemas.errors import ErrorCode, TransfuseError
from schemas.specification.database_url import url_place
from transforms.model.session_names import session_name
from transforms.postgres.connections import connect

OLDEST_VERSION = 14
ROUND_TRIPS = 5
SLOW_ROUND_TRIP = 20.0
"""Milliseconds from which a round trip is reported: each partition has dozens of them."""

_SETTINGS = {
    "default_transaction_read_only": "on",
    "lock_timeout": "1s",
}


def log_in(
    place: str, url: str, job: str, deep: bool
) -> tuple[psycopg.Connection[Any] | None, list[Observation]]:
    """Log in to a server for a session that can't write.

    Args:
        place: The name of the server in the report.
        url: The URL of the database.
        job: The job, for the session's name.
        deep: Whether statements may take as long as they do.

    Returns:
        The session, for the caller to close, or None; and a blocker with the CONN code.
    """
    # A slow server is a finding; the diagnosis itself is to end within ten seconds.
    quick = make_conninfo("", **{"connect_timeout": "4", **conninfo_to_dict(url)})
    try:
        settings = _SETTINGS if deep else {**_SETTINGS, "statement_timeout": "3s"}
        connection = connect(quick, settings=settings, name=session_name("doctor", job))
    except TransfuseError as error:
        return None, [finding_of(problem, FindingLevel.BLOCKER) for problem in error.problems]
    return connection, list(_examine(place, url, connection))


def _examine(place: str, url: str, connection: psycopg.Connection[Any]) -> Iterator[Observation]:
    version = connection.info.server_version
    yield HealthFact(place, "server", url_place(url))
    yield HealthFact(place, "version", f"{version // 10000}.{version % 10000}")
    yield HealthFact(place, "encrypted", bool(connection.pgconn.ssl_in_use))
    if version // 10000 < OLDEST_VERSION:
        yield HealthFinding(
            FindingLevel.BLOCKER,
            ErrorCode.SYS_004,
            place,
            f"the server is PostgreSQL {version // 10000}, and {OLDEST_VERSION} is the oldest that"
            " can be used",
            "pg_upgrade  # to PostgreSQL 14 or later",
        )
    times = []
    for _ in range(ROUND_TRIPS):
        begun = time.perf_counter()
        connection.execute("SELECT 1")
        times.append(1000 * (time.perf_counter() - begun))
    latency = round(median(times), 2)
    yield HealthFact(place, "round trip (ms)", latency)
    if latency > SLOW_ROUND_TRIP:
        yield advise(
            ErrorCode.SYS_002,
            place,
            f"a round trip to the server takes {latency:.0f} ms",
            "run Transfuse on a machine in the network of the server",
        )
