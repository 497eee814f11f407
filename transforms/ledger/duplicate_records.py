"""The candidates in ``migration_duplicates``, which lose their key to another row."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.run_fence import hold_fence
from transforms.model.partition import Partition


@dataclass(frozen=True)
class DuplicateRecords:
    """Adds and reads the losers of duplicate keys.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def add(self, load: str, losers: pa.RecordBatch) -> None:
        """Add losers, once even if the same ones are added again.

        Nothing is added if the job has been started again since.

        Args:
            load: Their load.
            losers: Columns partition, ordinal, source key, claim, the winner's source key, digest
                of the key, and place in the order of those that claim it.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        values = {f"c{place}": column.to_pylist() for place, column in enumerate(losers.columns)}
        with self.session.connection.transaction():
            hold_fence(self.session)
            self.session.execute(_ADD, {"load": load, **values})

    def read_losers(self, partition: Partition) -> dict[int, str]:
        """Read which candidates of a partition lost, and what they claimed, by ordinal."""
        rows = self.session.execute(
            f"SELECT ordinal, claim FROM {{migration_duplicates}} WHERE {_OF_PARTITION}",
            _place(partition),
        ).fetchall()
        return dict(rows)

    def read_claims(
        self, partition: Partition, source_keys: pa.Array, with_released: bool = True
    ) -> dict[str, str]:
        """Read what rows of a partition claimed when they lost their key.

        Args:
            partition: The partition.
            source_keys: Those of the rows (text).
            with_released: Whether rows count whose key no row before them claims any more.

        Returns:
            The claims by source key.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        rows = self.session.execute(
            f"SELECT source_key, claim, released FROM {{migration_duplicates}}"
            f" WHERE {_OF_PARTITION} AND source_key = ANY(%(keys)s)",
            {"keys": source_keys.to_pylist(), **_place(partition)},
        ).fetchall()
        return {key: claim for key, claim, released in rows if with_released or not released}

    def read_rivals_of_written(self, load: str, source_keys: pa.Array) -> set[str]:
        """Read which rows have competed for a key with a row that a replay has written.

        Args:
            load: The load of the rows.
            source_keys: Those of the rows (text).

        Returns:
            The source keys among them of winners and losers alike.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        rows = self.session.execute(_RIVALS, {"load": load, "keys": source_keys.to_pylist()})
        return {key for (key,) in rows.fetchall()}


_OF_PARTITION = "job_id = %(job)s AND load = %(load)s AND partition_id = %(id)s"


def _place(partition: Partition) -> dict[str, str]:
    return {"load": partition.load, "id": partition.id}


_ADD = (
    "INSERT INTO {migration_duplicates} (job_id, load, partition_id, ordinal, source_key, claim,"
    " winner_key, key_digest, place)"
    " SELECT %(job)s, %(load)s, u.* FROM unnest(%(c0)s::text[], %(c1)s::int4[], %(c2)s::text[],"
    " %(c3)s::text[], %(c4)s::text[], %(c5)s::text[], %(c6)s::int4[]) AS u"
    " WHERE {this_run} ON CONFLICT DO NOTHING"
)

_RIVALS = """
WITH members AS MATERIALIZED
  (SELECT key_digest, winner_key AS source_key FROM {migration_duplicates}
   WHERE job_id = %(job)s AND load = %(load)s
   UNION SELECT key_digest, source_key FROM {migration_duplicates}
   WHERE job_id = %(job)s AND load = %(load)s)
SELECT DISTINCT m.source_key FROM members m JOIN members o USING (key_digest)
JOIN {migration_errors} e
  ON e.job_id = %(job)s AND e.load = %(load)s AND e.source_key = o.source_key
WHERE m.source_key = ANY (%(keys)s) AND o.source_key <> m.source_key
AND e.written_keys IS NOT NULL
"""
