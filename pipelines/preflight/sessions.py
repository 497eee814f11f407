"""Checks of the sessions with both servers: logins, standbys, and time-outs of the client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import adbc_driver_manager
import psycopg

from pipelines.connections.patient_connections import retrying_of
from pipelines.databases.open_databases import Databases
from pipelines.preflight.finding import Finding, blocker
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.database_url import url_place
from transforms.model.program import LoadProgram
from transforms.model.session_names import ProcessSessions, session_name
from transforms.postgres.connection_failures import PASSING
from transforms.postgres.connections import add_session_name, connect
from transforms.postgres.database_problems import describe_error
from transforms.postgres.retries import run_with_retries
from transforms.postgres.session_settings import TIMEOUTS
from transforms.postgres.snapshot import SnapshotGone, refuse_another_server
from transforms.sources.postgres.postgres_source import PostgresSource

_TIMEOUTS_OF_THE_CLIENT = """
SELECT name, current_setting(name) FROM pg_settings
WHERE name = ANY(%s) AND source = 'client' AND setting <> '0' ORDER BY name
"""


def check_sessions(databases: Databases, programs: Mapping[str, LoadProgram]) -> list[Finding]:
    """Checks that sessions like those of a run can be had on both servers, and last.

    Args:
        databases: the open source and target.
        programs: not used.

    Returns:
        Blocking findings for a server that readers can't log in to or that isn't the launcher's,
        and for a target that can't be written to; warnings for a standby that cancels long reads,
        and for time-outs that the URL sets.

    Raises:
        TransfuseError: exit status 3, where a server doesn't answer after several attempts.
    """
    del programs
    findings: list[Finding] = []
    for source in databases.sources.values():
        if isinstance(source, PostgresSource):
            quoting = list(_check_quoting(source.connection, source.place))
            findings += quoting or _check_login_of_readers(databases, source)
            findings += _check_standby(source)
            findings += _check_timeouts(source.connection, source.place)
    place = url_place(databases.specification.target.url)
    findings += _check_quoting(databases.target, place)
    findings += _check_writable(databases.target, place)
    findings += _check_timeouts(databases.target, place)
    return findings


def _check_login_of_readers(databases: Databases, source: PostgresSource) -> Iterator[Finding]:
    """Rows are read through another client library than the launcher's, with another libpq."""

    verb = ProcessSessions.verb
    name = session_name(verb, databases.specification.job, part="preflight")

    def open_both() -> None:
        # A balancer that takes turns gives the launcher's server to every second connection.
        with closing(connect(add_session_name(source.address.url, name))) as other:
            refuse_another_server(other, source.address.exported)
        source.address.open(name).close()

    try:
        run_with_retries(retrying_of(databases.specification), open_both, source.place)
    except SnapshotGone as gone:
        problem = gone.problems[0]
        yield Finding(
            Problem(ErrorCode.SYS_004, problem.message, source.place, problem.remedy),
        )
    except adbc_driver_manager.Error as error:
        code, message, remedy = describe_error(error, source.address.url)
        problem = Problem(
            code,
            f"the library that reads rows (ADBC) can't log in: {message}",
            source.place,
            remedy,
        )
        if code in PASSING or code is ErrorCode.SYS_001:
            raise TransfuseError(problem, ExitStatus.INCOMPLETE) from None
        yield Finding(problem)


def _check_quoting(connection: psycopg.Connection[Any], place: str) -> Iterator[Finding]:
    """ADBC looks types up by the names of their functions, which may not be in quotes."""
    row = connection.execute(
        "SELECT reset_val, quote_ident(current_user), quote_ident(current_database())"
        " FROM pg_settings WHERE name = 'quote_all_identifiers'"
    ).fetchone()
    if row is not None and row[0] == "on":
        yield blocker(
            ErrorCode.SYS_004,
            place,
            "quote_all_identifiers is on for the role, the database or in the URL's options: the"
            " library that reads rows (ADBC) doesn't know a type then",
            f"ALTER ROLE {row[1]} IN DATABASE {row[2]} SET quote_all_identifiers = off;",
        )


def _check_standby(source: PostgresSource) -> Iterator[Finding]:
    row = source.connection.execute(
        "SELECT pg_is_in_recovery(), current_setting('hot_standby_feedback'),"
        " current_setting('max_standby_streaming_delay')"
    ).fetchone()
    if row is None or not row[0] or row[1] == "on" or row[2] == "-1":
        return
    yield Finding(
        Problem(
            ErrorCode.SYS_005,
            "the source is a standby, and cancels a read that lasts longer than"
            f" max_standby_streaming_delay = {row[2]} if its primary removes rows meanwhile",
            source.place,
            "on the standby: ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf()",
        ),
        blocks=False,
    )


def _check_writable(target: psycopg.Connection[Any], place: str) -> Iterator[Finding]:
    row = target.execute(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_user"
    ).fetchone()
    if row is None or not row[1]:
        return
    if row[0]:
        message = "the target is a standby, which can't be written to"
        remedy = "name the primary in the URL, or all of them: postgresql://HOST1,HOST2/DATABASE"
    else:
        message = "the target's transactions are read-only (default_transaction_read_only)"
        remedy = (
            f"ALTER ROLE {psycopg.sql.Identifier(row[2]).as_string()}"
            " SET default_transaction_read_only = off"
        )
    # A plan can be made with a target that nobody may write to yet.
    yield Finding(Problem(ErrorCode.SYS_004, message, place, remedy), blocks=bool(row[0]))


def _check_timeouts(connection: psycopg.Connection[Any], place: str) -> Iterator[Finding]:
    """Those of role, database and server don't hold in our sessions."""
    for name, value in connection.execute(_TIMEOUTS_OF_THE_CLIENT, [list(TIMEOUTS)]).fetchall():
        yield Finding(
            Problem(
                ErrorCode.CONN_001,
                f"the URL's options or PGOPTIONS set {name} = {value}, which ends whatever takes"
                " longer",
                place,
                f"take {name} out of the options: Transfuse needs none",
            ),
            blocks=False,
        )
