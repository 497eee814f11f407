"""The partitions of a job in ``migration_partitions``: what is left to do, and why it failed."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.ledger.ledger_session import LedgerSession
from transforms.model.partition import Partition


@dataclass(frozen=True)
class StoredFailure:
    """A failure that workers recorded.

    Attributes:
        load: The load that failed, or whose partitions did.
        code: The error code.
        error: The message, with its remedy.
        partitions: How many partitions failed so; 0 for a load that couldn't be settled.
        first_partition: The first of them.
    """

    load: str
    code: str
    error: str
    partitions: int
    first_partition: str | None


@dataclass(frozen=True)
class MiscountedPartition:
    """The counts of a committed partition, in rows, that don't add up."""

    load: str
    id: str
    planned: int
    read: int
    candidates: int
    accepted: int
    rejected: int
    skipped: int
    written: int
    expanded: int


@dataclass(frozen=True)
class PartitionRows:
    """Reads the partitions of the session's job."""

    session: LedgerSession

    def read_open(self) -> list[Partition]:
        """Read the partitions that aren't committed yet."""
        return self._partitions("state <> 'done'")

    def read_all(self) -> list[Partition]:
        """Read all partitions."""
        return self._partitions("true")

    def read_failures(self) -> list[StoredFailure]:
        """Read the failures that left partitions open or loads unsettled."""
        return self._failures(
            "SELECT job_id, load, error_code, error, partition_id FROM {migration_partitions}"
            " WHERE state = 'failed' UNION ALL"
            " SELECT job_id, load, error_code, error, NULL FROM {migration_loads}"
            " WHERE NOT settled"
        )

    def read_replay_failures(self) -> list[StoredFailure]:
        """Read the failures that kept the last replay from reading or committing rejected rows."""
        return self._failures("SELECT * FROM {migration_partitions} WHERE state = 'done'")

    def read_miscounted(self) -> list[MiscountedPartition]:
        """Read the committed partitions whose counts break an identity of the ledger."""
        rows = self.session.execute(
            "SELECT load, partition_id, planned_rows, read, candidates, accepted, rejected,"
            " skipped, written, expanded FROM {migration_partitions}"
            " WHERE job_id = %(job)s AND state = 'done'"
            " AND (read <> planned_rows OR candidates <> accepted + rejected + skipped"
            "  OR written <> accepted + expanded) ORDER BY load, partition_id"
        ).fetchall()
        return [MiscountedPartition(*row) for row in rows]

    def clear_replay_failures(self) -> None:
        """Clear the failures of earlier replays."""
        self.session.execute(
            "UPDATE {migration_partitions} SET error_code = NULL, error = NULL"
            " WHERE job_id = %(job)s AND state = 'done' AND error IS NOT NULL"
        )

    def _partitions(self, condition: str) -> list[Partition]:
        rows = self.session.execute(
            "SELECT load, partition_id, predicate, planned_rows, relation"
            f" FROM {{migration_partitions}} WHERE job_id = %(job)s AND {condition}"
            " ORDER BY load, partition_id"
        ).fetchall()
        return [Partition(*row) for row in rows]

    def _failures(self, selection: str) -> list[StoredFailure]:
        rows = self.session.execute(
            "SELECT load, error_code, error, count(partition_id), min(partition_id)"
            f" FROM ({selection}) AS failed WHERE job_id = %(job)s AND error IS NOT NULL"
            " GROUP BY load, error_code, error ORDER BY load, error_code, error"
        ).fetchall()
        return [StoredFailure(*row) for row in rows]
