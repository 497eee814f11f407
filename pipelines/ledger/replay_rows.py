"""The rejected rows of a job that a replay judges again, and what it clears before it begins."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from pipelines.ledger.job_row import JobRow
from pipelines.ledger.partition_rows import PartitionRows
from pipelines.ledger.violation_filter import MATCHING, ViolationFilter
from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.lost_keys import relabel_losers
from transforms.model.rejected_rows import PORTION


@dataclass(frozen=True)
class RejectedPartition:
    """The number of rejected rows of a partition that match a filter.

    Attributes:
        load: The load.
        partition: The partition's id.
        rows: Rows with a source key.
        nameless: Rows without one, where each violation counts as a row.
    """

    load: str
    partition: str
    rows: int
    nameless: int


_FREED = """
SELECT e.load, count(DISTINCT (e.partition_id, e.source_key)) FROM {migration_errors} e
JOIN {migration_errors} w ON w.id = e.root_cause_id AND w.status = 'replayed'
WHERE e.job_id = %(job)s AND e.status = 'open' AND NOT e.warning AND e.error_code = 'DATA-002'
  AND NOT EXISTS (SELECT FROM {migration_errors} x WHERE x.job_id = w.job_id AND x.load = w.load
    AND x.partition_id = w.partition_id AND x.source_key = w.source_key
    AND x.status <> 'replayed' AND NOT x.warning)
GROUP BY e.load ORDER BY e.load
"""


@dataclass(frozen=True)
class ReplayRows:
    """Reads the rejected rows of the session's job, and prepares a replay of them."""

    session: LedgerSession

    def read_partitions(self, wanted: ViolationFilter) -> list[RejectedPartition]:
        """Read the partitions with rows that have an open violation, no warning, that matches."""
        rows = self.session.execute(
            "SELECT load, partition_id, count(DISTINCT source_key),"
            f" count(*) FILTER (WHERE source_key IS NULL) FROM {MATCHING} AND NOT warning"
            " GROUP BY 1, 2 ORDER BY 1, 2",
            wanted.values(),
        ).fetchall()
        return [RejectedPartition(*row) for row in rows]

    def count_freed(self) -> dict[str, int]:
        """Count the rows that are rejected, among others, for a parent that no longer is; by load.

        These are what to replay next.
        """
        return dict(self.session.execute(_FREED).fetchall())

    def read_clock(self) -> datetime:
        """Read the server's clock."""
        row = self.session.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment

    def count_unjudged(self, wanted: ViolationFilter, since: datetime) -> dict[str, int]:
        """Count the rejected rows that match and that no replay has judged since a moment.

        Args:
            wanted: The filter.
            since: The moment, by the server's clock.

        Returns:
            The number of rows with a source key by load.
        """
        rows = self.session.execute(
            "SELECT load, count(DISTINCT (partition_id, source_key))"
            f" FROM {MATCHING} AND NOT warning AND source_key IS NOT NULL"
            " AND coalesce(changed_at, created_at) < %(since)s GROUP BY load",
            {**wanted.values(), "since": since},
        ).fetchall()
        return dict(rows)

    def analyze(self) -> None:
        """Have the server count the rows of the error sink, before autovacuum does.

        It takes a table without statistics for almost empty, and would search all violations for
        each of them.
        """
        for name in ("migration_errors", "migration_keys", "migration_skipped"):
            self.session.execute(f"ANALYZE {{{name}}}")

    def begin(self, loads: Collection[str], all_loads: Collection[str]) -> int:
        """Begin another run of the job, which settles some loads again.

        Failures that an earlier replay recorded are cleared, also those of other loads. If the
        process is killed before the loads are settled, they are found unsettled by the next one.

        Args:
            loads: The loads to settle again.
            all_loads: All loads of the specification.

        Returns:
            The number of the run.
        """
        with self.session.connection.transaction():
            run = JobRow(self.session).raise_run_number()
            self.session.execute(
                "UPDATE {migration_loads} SET settled = false, error_code = NULL, error = NULL"
                " WHERE job_id = %(job)s AND load = ANY(%(loads)s)",
                {"loads": sorted(loads)},
            )
            PartitionRows(self.session).clear_replay_failures()
            self.relabel_losers(all_loads)
        return run

    def relabel_losers(self, loads: Collection[str]) -> None:
        """Decide for the losers of loads whether the row that won their key still claims it.

        To be called after winners were discarded or reopened, in the same transaction.
        """
        relabel_losers(self.session, loads)

    @contextmanager
    def keep_index(self, rows: int) -> Iterator[None]:
        """Keep an index of the error sink by source key until the context ends, if it pays.

        A replay of more than one portion would search all violations for each. Permanently, the
        index would cost every migration as much as the violations themselves. A role that may not
        make it, or would have to wait too long for others, replays without.

        Args:
            rows: The number of rows to be replayed.
        """
        name = "migration_errors_for_replays"
        if rows <= PORTION:
            # A replay that was killed has left it.
            with suppress(psycopg.Error):
                self.session.execute(f"DROP INDEX IF EXISTS {{{name}}}")
            yield
            return
        with suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable):
            self.session.execute(
                "CREATE INDEX IF NOT EXISTS {index} ON {migration_errors}"
                " (job_id, load, partition_id, source_key)",
                index=sql.Identifier(name),
            )
            self.session.execute("ANALYZE {migration_errors}")
        try:
            yield
        finally:
            # Where the target is gone, the replay ends for that reason.
            with suppress(psycopg.Error):
                self.session.execute(f"DROP INDEX IF EXISTS {{{name}}}")
