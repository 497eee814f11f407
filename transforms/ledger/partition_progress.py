"""The partitions in ``migration_partitions``: which are done, and with which counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from schemas.errors import ErrorCode
from transforms.ledger.counts import Counts
from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.run_fence import hold_fence
from transforms.model.partition import Partition

_COUNTS = tuple(item.name for item in fields(Counts))
_AMENDED = tuple(name for name in _COUNTS if name not in ("read", "empty", "candidates"))

_OF_PARTITION = "job_id = %(job)s AND load = %(load)s AND partition_id = %(id)s"


@dataclass(frozen=True)
class PartitionProgress:
    """Reads and writes the partitions of a run's loads.

    Attributes:
        session: That of a run.
        needs: The loads that each load needs.
    """

    session: LedgerSession
    needs: Mapping[str, tuple[str, ...]]

    def claim(self, partition: Partition, snapshot: str | None) -> bool:
        """Take a partition for the current transaction.

        A second writer of the same partition waits here until the first has committed or is gone.
        A run that begins now waits for this transaction.

        Args:
            partition: The partition.
            snapshot: That under which the source was read.

        Returns:
            False if the partition is already done, the job has been started again since, or an
            emergency stop isolates the load.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        hold_fence(self.session)
        claimed = self.session.execute(
            "UPDATE {migration_partitions} SET state = 'done', attempts = attempts + 1,"
            " error_code = NULL, error = NULL, snapshot = %(snapshot)s"
            f" WHERE {_OF_PARTITION} AND state <> 'done' AND {{this_run}} AND {{not_halted}}",
            {
                "snapshot": snapshot,
                "halting": [partition.load, *self.needs.get(partition.load, ())],
                **_place(partition),
            },
        )
        return claimed.rowcount == 1

    def lock(self, partition: Partition) -> None:
        """Make others that lock or change a partition wait until the transaction ends."""
        self.session.execute(
            f"SELECT FROM {{migration_partitions}} WHERE {_OF_PARTITION} FOR UPDATE",
            _place(partition),
        )

    def has_written(self, load: str) -> bool:
        """Whether the target has taken a row of any committed partition of a load."""
        row = self.session.execute(
            "SELECT EXISTS (SELECT FROM {migration_partitions} WHERE job_id = %(job)s"
            " AND load = %(load)s AND state = 'done' AND written > 0)",
            {"load": load},
        ).fetchone()
        return row is not None and bool(row[0])

    def record(self, partition: Partition, counts: Counts, seconds: float) -> None:
        """Store the counts of a claimed partition.

        Args:
            partition: The partition.
            counts: Those of all its rows.
            seconds: How long its commit has taken so far. Both times that are stored are the
                server's, whose clock may differ from that of the worker.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        self.session.execute(
            "UPDATE {migration_partitions} SET {counts},"
            " started_at = clock_timestamp() - make_interval(secs => %(seconds)s),"
            f" finished_at = clock_timestamp() WHERE {_OF_PARTITION}",
            {**_values(counts, _COUNTS), "seconds": seconds, **_place(partition)},
            counts=_assignments(_COUNTS),
        )

    def amend(self, load: str, partition_id: str, change: Counts) -> None:
        """Add to the counts of a committed partition.

        Args:
            load: The load.
            partition_id: The partition.
            change: What is added; ``read``, ``empty`` and ``candidates`` stay as they are.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        place = {"load": load, "id": partition_id}
        row = self.session.execute(
            f"SELECT {{names}} FROM {{migration_partitions}} WHERE {_OF_PARTITION} FOR UPDATE",
            place,
            names=sql.SQL(", ").join(map(sql.Identifier, _AMENDED)),
        ).fetchone()
        assert row is not None
        stored = Counts(**dict(zip(_AMENDED, row, strict=True)))
        self.session.execute(
            f"UPDATE {{migration_partitions}} SET {{counts}} WHERE {_OF_PARTITION}",
            {**_values(stored + change, _AMENDED), **place},
            counts=_assignments(_AMENDED),
        )

    def record_failure(self, partition: Partition, code: ErrorCode, message: str) -> None:
        """Mark a partition as failed, unless it was committed or the job started again since."""
        self.session.execute(
            "UPDATE {migration_partitions} SET state = 'failed', attempts = attempts + 1,"
            " error_code = %(code)s, error = %(error)s"
            f" WHERE {_OF_PARTITION} AND state <> 'done' AND {{this_run}}",
            {"code": code.value, "error": message, **_place(partition)},
        )

    def record_replay_failure(self, partition: Partition, code: ErrorCode, message: str) -> None:
        """Store why rejected rows of a committed partition are left; it stays done."""
        self.session.execute(
            "UPDATE {migration_partitions} SET error_code = %(code)s, error = %(error)s"
            f" WHERE {_OF_PARTITION} AND state = 'done' AND {{this_run}}",
            {"code": code.value, "error": message, **_place(partition)},
        )


def _place(partition: Partition) -> dict[str, str]:
    return {"load": partition.load, "id": partition.id}


def _values(counts: Counts, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(counts, name) for name in names}
    return {k: Jsonb(dict(v)) if isinstance(v, Mapping) else v for k, v in values.items()}


def _assignments(names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in names
    )
