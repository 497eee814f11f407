"""The references in ``migration_deferred``, which are checked when their load is settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.row_copy import copy_rows
from transforms.model.partition import Partition


@dataclass(frozen=True)
class DeferredRecords:
    """Adds and removes deferred references.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def add(
        self,
        partition: Partition,
        field: str,
        source_keys: pa.Array,
        target_keys: pa.Array,
        references: pa.Array,
        is_written: bool,
    ) -> None:
        """Add the references of one field.

        Args:
            partition: That of the rows.
            field: The field.
            source_keys: Those of the rows (text).
            target_keys: Those of the rows, JSON objects as text.
            references: What the field refers to (text).
            is_written: Whether the rows are in the target. Others are checked too.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        columns = {
            "load": partition.load,
            "partition_id": partition.id,
            "field": field,
            "source_key": source_keys,
            "target_key": target_keys,
            "reference": references,
            "written": pa.repeat(is_written, len(references)),
        }
        copy_rows(self.session, "migration_deferred", len(source_keys), columns)

    def remove_rows(self, partition: Partition, source_keys: Sequence[str]) -> None:
        """Remove the references of rows that are tried again.

        They may never have been settled, and only what the source says now counts.
        """
        self.session.execute(
            "DELETE FROM {migration_deferred} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s AND source_key = ANY(%(keys)s)",
            {"load": partition.load, "id": partition.id, "keys": list(source_keys)},
        )

    def remove_load(self, load: str) -> None:
        """Remove all references of a load."""
        self.session.execute(
            "DELETE FROM {migration_deferred} WHERE job_id = %(job)s AND load = %(load)s",
            {"load": load},
        )
