"""The violations that one partition or one replay of it stored, which are one error file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from transforms.ledger.ledger_session import LedgerSession

_REPLAYED = "CASE WHEN first_attempt > 1 THEN created_at END"
"""When a replay stored the violation: all that one replay stores of a partition has one instant."""


@dataclass(frozen=True)
class ErrorBatch:
    """The violations of a partition that were stored together.

    Attributes:
        load: The load.
        partition: The partition's id.
        replayed_at: When a replay stored them; None for the migration.
        first: The lowest of their ids.
    """

    load: str
    partition: str
    replayed_at: datetime | None
    first: int


@dataclass(frozen=True)
class ErrorBatches:
    """Reads the violations of the session's job by partition and replay."""

    session: LedgerSession

    def read(self) -> list[ErrorBatch]:
        """Read which batches the settled loads have."""
        rows = self.session.execute(
            "SELECT e.load, e.partition_id, e.replayed, min(e.id)"
            f" FROM (SELECT *, {_REPLAYED} AS replayed FROM {{migration_errors}}) AS e"
            " JOIN {migration_loads} l USING (job_id, load)"
            " WHERE e.job_id = %(job)s AND l.settled GROUP BY 1, 2, 3 ORDER BY 1, 2, 4"
        ).fetchall()
        return [ErrorBatch(*row) for row in rows]

    def read_rows(self, batch: ErrorBatch, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Read columns of ``migration_errors`` of a batch, ordered by id."""
        return self.session.execute(
            "SELECT {columns} FROM {migration_errors} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(partition)s"
            f" AND {_REPLAYED} IS NOT DISTINCT FROM %(replayed_at)s ORDER BY id",
            {
                "load": batch.load,
                "partition": batch.partition,
                "replayed_at": batch.replayed_at,
            },
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        ).fetchall()
