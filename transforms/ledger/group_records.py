"""The candidates in ``migration_group_findings``, on which rules over several rows fail."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.run_fence import hold_fence
from transforms.model.partition import Partition


@dataclass(frozen=True)
class GroupRecords:
    """Adds and reads the candidates that fail rules over several rows.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def add(self, load: str, rule: str, failing: pa.RecordBatch) -> None:
        """Add the candidates that fail a rule, once even if the same ones are added again.

        Nothing is added if the job has been started again since.

        Args:
            load: Their load.
            rule: The name of the rule.
            failing: Columns partition, ordinal, source key, and what they were compared by.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        values = {f"c{place}": column.to_pylist() for place, column in enumerate(failing.columns)}
        with self.session.connection.transaction():
            hold_fence(self.session)
            self.session.execute(_ADD, {"load": load, "rule": rule, **values})

    def read_ordinals(self, partition: Partition) -> dict[str, list[int]]:
        """Read the ordinals of a partition on which rules fail, by the rule's name."""
        rows = self.session.execute(
            f"SELECT rule, ordinal FROM {{migration_group_findings}} WHERE {_OF_PARTITION}",
            _place(partition),
        ).fetchall()
        ordinals: dict[str, list[int]] = {}
        for rule, ordinal in rows:
            ordinals.setdefault(rule, []).append(ordinal)
        return ordinals

    def read_claims(
        self, partition: Partition, source_keys: pa.Array
    ) -> dict[tuple[str, str], str]:
        """Read what rows were compared by when rules failed on them.

        Args:
            partition: That of the rows.
            source_keys: Theirs (text).

        Returns:
            What they were compared by, by the rule's name and the source key.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        rows = self.session.execute(
            "SELECT rule, source_key, claim FROM {migration_group_findings}"
            f" WHERE {_OF_PARTITION} AND source_key = ANY(%(keys)s)",
            {"keys": source_keys.to_pylist(), **_place(partition)},
        ).fetchall()
        return {(rule, key): claim for rule, key, claim in rows}


_OF_PARTITION = "job_id = %(job)s AND load = %(load)s AND partition_id = %(id)s"


def _place(partition: Partition) -> dict[str, str]:
    return {"load": partition.load, "id": partition.id}


_ADD = (
    "INSERT INTO {migration_group_findings} (job_id, load, rule, partition_id, ordinal,"
    " source_key, claim)"
    " SELECT %(job)s, %(load)s, %(rule)s, u.* FROM unnest(%(c0)s::text[], %(c1)s::int4[],"
    " %(c2)s::text[], %(c3)s::text[]) AS u WHERE {this_run} ON CONFLICT DO NOTHING"
)
