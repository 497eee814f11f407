"""The runs of a job in ``migration_runs``: who ran what, when, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg

from pipelines.audit.actor import current_actor
from pipelines.ledger.readable_tables import is_allowed_to_read
from pipelines.terminal.installed_version import installed_version
from schemas.errors import Problem
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class RunRequestRecord:
    """What a run was asked for.

    Attributes:
        verb: The verb, such as ``migrate``.
        flags: The flags for Beam.
        digest: That of the specification.
        text: The specification as written, without passwords.
    """

    verb: str
    flags: tuple[str, ...]
    digest: str
    text: str


@dataclass(frozen=True)
class StoredRun:
    """A run as ``migration_runs`` has it.

    Attributes:
        number: The number of the run; None if it didn't begin.
        verb: The verb.
        state: How it ended, or ``running``.
        exit_status: That of the process, if it ended in order.
        started_at: When it began.
        finished_at: When it ended; None while it runs.
        person: Who ran it.
        role: The database role.
        error_codes: The codes of its problems.
    """

    number: int | None
    verb: str
    state: str
    exit_status: int | None
    started_at: datetime
    finished_at: datetime | None
    person: str
    role: str
    error_codes: list[str]


@dataclass(frozen=True)
class RunRows:
    """Reads and writes the runs of the session's job."""

    session: LedgerSession

    def begin(self, number: int, request: RunRequestRecord) -> None:
        """Store that a run begins."""
        self._insert(number, request, "running", None, ())

    def refuse(self, request: RunRequestRecord, status: int, problems: Sequence[Problem]) -> None:
        """Store that a run was refused, unless the role may not, or there are no tables for it."""
        if is_allowed_to_read(self.session, "migration_runs"):
            with suppress(psycopg.errors.InsufficientPrivilege):
                self._insert(None, request, "refused", status, problems)

    def end(self, state: str, status: int | None = None, problems: Sequence[Problem] = ()) -> bool:
        """Store how the run of this process ended, which has the job.

        Args:
            state: That in which it leaves the job.
            status: The exit status; None for a run that ended by an exception.
            problems: Those that it reports.

        Returns:
            False if it hasn't begun, or its end is stored already.
        """
        if not is_allowed_to_read(self.session, "migration_runs"):
            return False
        ended = self.session.execute(
            "UPDATE {migration_runs} SET state = %(state)s, exit_status = %(status)s,"
            " error_codes = %(codes)s, finished_at = clock_timestamp()"
            " WHERE job_id = %(job)s AND finished_at IS NULL",
            {"state": state, "status": status, "codes": _codes_of(problems)},
        )
        return ended.rowcount > 0

    def end_interrupted(self) -> None:
        """Store that earlier runs without an end were interrupted, unless the role may not.

        To be called by a process that has the job: none of them runs any more.
        """
        with suppress(psycopg.errors.InsufficientPrivilege):
            self.end("interrupted")

    def read_latest(self, limit: int) -> list[StoredRun]:
        """Read the latest runs, the last one first.

        Args:
            limit: How many at most.

        Returns:
            The runs; an empty list also where the role may not read them.
        """
        if not is_allowed_to_read(self.session, "migration_runs"):
            return []
        rows = self.session.execute(
            "SELECT number, verb, state, exit_status, started_at, finished_at, person, role,"
            " error_codes FROM {migration_runs} WHERE job_id = %(job)s"
            " ORDER BY started_at DESC, id DESC LIMIT %(limit)s",
            {"limit": limit},
        ).fetchall()
        return [StoredRun(*row) for row in rows]

    def _insert(
        self,
        number: int | None,
        request: RunRequestRecord,
        state: str,
        status: int | None,
        problems: Sequence[Problem],
    ) -> None:
        actor = current_actor()
        self.session.execute(
            "INSERT INTO {migration_runs} (job_id, number, verb, state, exit_status, error_codes,"
            " finished_at, person, host, process, release, specification_sha256, specification,"
            " flags) VALUES (%(job)s, %(number)s, %(verb)s, %(state)s, %(status)s, %(codes)s,"
            " CASE WHEN %(state)s <> 'running' THEN clock_timestamp() END, %(person)s, %(host)s,"
            " %(process)s, %(release)s, %(digest)s, %(text)s, %(flags)s)",
            {
                "number": number,
                "state": state,
                "status": status,
                "codes": _codes_of(problems),
                "person": actor.person,
                "host": actor.host,
                "process": actor.process,
                "release": installed_version(),
                **{**vars(request), "flags": [_without_value(flag) for flag in request.flags]},
            },
        )


def _codes_of(problems: Sequence[Problem]) -> list[str]:
    return sorted({problem.code.value for problem in problems})


def _without_value(flag: str) -> str:
    """The name of a flag: its value may be a secret, and which runner it was is in the log."""
    return flag.partition("=")[0] if flag.startswith("-") else "..."
