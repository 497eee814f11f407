"""The row of a job in ``migration_jobs``: its state, its runs, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from pipelines.ledger.readable_tables import is_readable
from schemas.errors import TransfuseError
from schemas.summary import State
from transforms.ledger.ledger_session import LedgerSession

Wanted = Literal["run", "pause", "stop"]


@dataclass(frozen=True)
class StoredJob:
    """A job that has run.

    Attributes:
        started_at: When its first run began, ISO 8601 with a zone.
        runs: How many runs it has had.
        state: That in which its last run is, or left it.
        digest: That of the specification of its last run.
    """

    started_at: str
    runs: int
    state: str
    digest: str


@dataclass(frozen=True)
class RunRecord:
    """What the job's row records of a run that begins.

    Attributes:
        started_at: When the job began, ISO 8601 with a zone.
        text: The specification as written, without passwords.
        digest: That of the specification.
        maps: Labels of the maps by name.
        decisions: The site's decisions on codes, by map.
    """

    started_at: str
    text: str
    digest: str
    maps: Mapping[str, str]
    decisions: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class JobRow:
    """Reads and writes the row of the session's job."""

    session: LedgerSession

    def read(self) -> StoredJob | None:
        """Read the job's row.

        Returns:
            The job; None before its first run, and where there are no control tables.

        Raises:
            TransfuseError: USER-002 if the role may not read it.
        """
        if not is_readable(self.session, "migration_jobs"):
            return None
        row = self.session.execute(
            "SELECT started_at, runs, state, specification_sha256 FROM {migration_jobs}"
            " WHERE job_id = %(job)s"
        ).fetchone()
        return None if row is None else StoredJob(row[0].isoformat(), *row[1:])

    def read_if_allowed(self) -> StoredJob | None:
        """Read the job's row; None also if the role may not read it.

        For a caller that checks the rights of the role next, and reports all that it lacks.
        """
        try:
            return self.read()
        except TransfuseError:
            return None

    def read_names(self) -> list[str]:
        """Read the names of all jobs in the control tables; none where there are no such tables.

        Raises:
            TransfuseError: USER-002 if the role may not read them.
        """
        if not is_readable(self.session, "migration_jobs"):
            return []
        rows = self.session.execute("SELECT job_id FROM {migration_jobs} ORDER BY 1").fetchall()
        return [name for (name,) in rows]

    def read_maps(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """Read the labels of maps and the decisions on codes that the last run recorded."""
        row = self.session.execute(
            "SELECT maps, decisions FROM {migration_jobs} WHERE job_id = %(job)s"
        ).fetchone()
        return ({}, {}) if row is None else (row[0], row[1])

    def read_state(self) -> tuple[State, Wanted, float] | None:
        """Read the state, what is wanted, and the seconds of all runs, the present one included."""
        row = self.session.execute(
            "SELECT state, wanted, seconds + CASE WHEN state = 'running'"
            " THEN extract(epoch FROM clock_timestamp() - updated_at)::float8 ELSE 0 END"
            " FROM {migration_jobs} WHERE job_id = %(job)s"
        ).fetchone()
        return None if row is None else (row[0], row[1], float(row[2]))

    def raise_run_number(self) -> int:
        """Store that another run of the job begins: workers of earlier ones can't commit any more.

        Returns:
            The number of the run; 0 where there is no such job yet.
        """
        row = self.session.execute(
            "UPDATE {migration_jobs} SET runs = runs + 1 WHERE job_id = %(job)s RETURNING runs"
        ).fetchone()
        return 0 if row is None else int(row[0])

    def begin_run(self, record: RunRecord) -> int:
        """Write or update the job's row for a run whose number was raised before.

        Failed partitions become planned ones again, and failures of loads are cleared.

        Args:
            record: What to store of the run.

        Returns:
            The number of the run.
        """
        session = self.session
        with session.connection.transaction():
            row = session.execute(
                "INSERT INTO {migration_jobs} AS j (job_id, state, wanted, specification,"
                " specification_sha256, maps, decisions, started_at, runs)"
                " VALUES (%(job)s, 'running', 'run', %(text)s, %(digest)s, %(maps)s,"
                " %(decisions)s, %(started_at)s, 1)"
                " ON CONFLICT (job_id) DO UPDATE SET state = 'running', wanted = 'run',"
                " specification = excluded.specification, maps = excluded.maps,"
                " decisions = excluded.decisions,"
                " specification_sha256 = excluded.specification_sha256, updated_at = now(),"
                " finished_at = NULL RETURNING runs",
                {
                    "text": record.text,
                    "digest": record.digest,
                    "maps": Jsonb(dict(record.maps)),
                    "decisions": Jsonb(record.decisions),
                    "started_at": datetime.fromisoformat(record.started_at),
                },
            ).fetchone()
            session.execute(
                "UPDATE {migration_partitions} SET state = 'planned' WHERE state = 'failed'"
                " AND job_id = %(job)s"
            )
            session.execute(
                "UPDATE {migration_loads} SET error_code = NULL, error = NULL"
                " WHERE error IS NOT NULL AND job_id = %(job)s"
            )
        assert row is not None
        return int(row[0])

    def read_wanted(self) -> Wanted:
        """Read what people want of a job that has run."""
        row = self.session.execute(
            "SELECT wanted FROM {migration_jobs} WHERE job_id = %(job)s"
        ).fetchone()
        assert row is not None
        wanted: Wanted = row[0]
        return wanted

    def set_wanted(self, wanted: Wanted) -> None:
        """Store what is wanted of the job; workers look there before each partition."""
        self.session.execute(
            "UPDATE {migration_jobs} SET wanted = %(wanted)s WHERE job_id = %(job)s",
            {"wanted": wanted},
        )

    def stop_paused(self) -> None:
        """Store that a paused job is stopped; a job in any other state stays as it is."""
        self.session.execute(
            "UPDATE {migration_jobs} SET state = 'stopped' WHERE job_id = %(job)s"
            " AND state = 'paused'"
        )

    def stop_at_once(self) -> None:
        """Store that the job is stopped, and that it is to stop: its launcher is gone."""
        self.session.execute(
            "UPDATE {migration_jobs} SET wanted = 'stop', state = 'stopped' WHERE job_id = %(job)s"
        )

    def close_run(self, state: str, seconds: float) -> None:
        """Close a run.

        Args:
            state: That in which the run leaves the job.
            seconds: How long the run took.
        """
        self.session.execute(
            "UPDATE {migration_jobs} SET state = %(state)s, seconds = seconds + %(seconds)s,"
            " updated_at = now(), finished_at = now() WHERE job_id = %(job)s",
            {"state": state, "seconds": seconds},
        )
