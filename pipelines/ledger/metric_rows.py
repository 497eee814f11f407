"""The samples of a job's runs in ``migration_metrics``, and what they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipelines.ledger.readable_tables import is_allowed_to_read
from schemas.run_metrics import RunSample, UsualRates
from transforms.ledger.ledger_session import LedgerSession

_HISTORY = 200
"""Samples that say what is usual: the latest, because tables and machines change."""

_ENOUGH = 5
"""Samples from which on something is usual: fewer are the start of a run."""


@dataclass(frozen=True)
class RunTotals:
    """The sums over a job's committed partitions, at one moment.

    Attributes:
        at: The moment, by the clock of the server.
        rows: Source rows that were read.
        rejected: Rejected candidates.
        judged: Candidates that weren't skipped.
        seconds_per_partition: The mean time of the commits that ended since an earlier moment;
            None if there were none.
        is_loading: Whether partitions are open that may be committed now.
    """

    at: datetime
    rows: int
    rejected: int
    judged: int
    seconds_per_partition: float | None
    is_loading: bool


@dataclass(frozen=True)
class MetricRows:
    """Reads and writes the samples of the session's job."""

    session: LedgerSession

    def read_totals(self, since: datetime | None) -> RunTotals:
        """Read the sums over the committed partitions.

        Args:
            since: The moment of the sums before, from which on commits count for their mean time.
        """
        row = self.session.execute(_TOTALS, {"since": since}).fetchone()
        assert row is not None
        return RunTotals(*row)

    def store(self, run: int, host: str, sample: RunSample) -> None:
        """Store a sample.

        Args:
            run: The number of the run.
            host: The launcher's.
            sample: What was measured.
        """
        self.session.execute(
            "INSERT INTO {migration_metrics} (job_id, at, run, host, rows, rows_per_second,"
            " seconds_per_partition, rejected_percent, cpu_percent, memory_percent, disk_percent,"
            " network_percent, process_bytes)"
            " VALUES (%(job)s, clock_timestamp(), %(run)s, %(host)s, %(rows)s,"
            " %(rows_per_second)s, %(seconds_per_partition)s, %(rejected_percent)s,"
            " %(cpu_percent)s, %(memory_percent)s, %(disk_percent)s, %(network_percent)s,"
            " %(process_bytes)s) ON CONFLICT DO NOTHING",
            {"run": run, "host": host, **vars(sample)},
        )

    def read_usual(self) -> UsualRates:
        """Read what is usual in the job, by the medians of its latest samples."""
        row = self.session.execute(_USUAL, {"history": _HISTORY, "enough": _ENOUGH}).fetchone()
        return UsualRates() if row is None else UsualRates(*row)

    def read_latest(self) -> tuple[datetime, RunSample] | None:
        """Read the latest sample and its moment; None if there is none that the role may read."""
        if not is_allowed_to_read(self.session, "migration_metrics"):
            return None
        row = self.session.execute(
            "SELECT at, rows, rows_per_second, seconds_per_partition, rejected_percent,"
            " cpu_percent, memory_percent, disk_percent, network_percent, process_bytes"
            " FROM {migration_metrics} WHERE job_id = %(job)s ORDER BY at DESC LIMIT 1"
        ).fetchone()
        return None if row is None else (row[0], RunSample(*row[1:]))


_TOTALS = """
SELECT clock_timestamp(), coalesce(sum(p.read), 0)::int8, coalesce(sum(p.rejected), 0)::int8,
    coalesce(sum(p.candidates - p.skipped), 0)::int8,
    avg(extract(epoch FROM p.finished_at - p.started_at)) FILTER
        (WHERE p.finished_at > %(since)s::timestamptz)::float8,
    coalesce(bool_or(p.state <> 'done' AND l.compared AND l.level =
        (SELECT min(level) FROM {migration_loads} u WHERE u.job_id = l.job_id AND NOT u.settled)),
        false)
FROM {migration_partitions} p JOIN {migration_loads} l USING (job_id, load)
WHERE p.job_id = %(job)s
"""

_USUAL = """
SELECT CASE WHEN count(*) FILTER (WHERE rows_per_second > 0) >= %(enough)s THEN
        percentile_cont(0.5) WITHIN GROUP (ORDER BY rows_per_second)
            FILTER (WHERE rows_per_second > 0) END,
    CASE WHEN count(seconds_per_partition) >= %(enough)s THEN
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds_per_partition) END
FROM (SELECT * FROM {migration_metrics} WHERE job_id = %(job)s ORDER BY at DESC
      LIMIT %(history)s) AS latest
"""
