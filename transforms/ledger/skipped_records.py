"""The keys of skipped rows in ``migration_skipped``, which children look up."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.row_copy import copy_rows
from transforms.model.partition import Partition


@dataclass(frozen=True)
class SkippedRecords:
    """Adds the keys of skipped rows.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def add(self, partition: Partition, source_keys: pa.Array, target_keys: pa.Array) -> None:
        """Add the keys of skipped rows.

        Args:
            partition: That of the rows.
            source_keys: Theirs (text).
            target_keys: Theirs (text), in the same order; NULL as far as they aren't known.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        columns = {
            "load": partition.load,
            "partition_id": partition.id,
            "source_key": source_keys,
            "target_key": target_keys,
        }
        copy_rows(self.session, "migration_skipped", len(source_keys), columns)
