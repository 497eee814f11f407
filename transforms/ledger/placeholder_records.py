"""The placeholders in ``migration_placeholders``: rows of the target that stand in for parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from schemas.catalog import Relation
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class PlaceholderRecords:
    """Records which rows of the target are placeholders; nothing in the rows themselves says so.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def add(self, table: Relation, target_keys: Sequence[str]) -> None:
        """Add placeholders of a table of the target by their keys."""
        self.session.execute(
            "INSERT INTO {migration_placeholders} (job_id, target_table, target_key)"
            " SELECT %(job)s, %(table)s, k FROM unnest(%(keys)s::text[]) AS u(k)"
            " ON CONFLICT DO NOTHING",
            {"table": str(table), "keys": list(target_keys)},
        )

    def read_existing(self, table: Relation, target_keys: pa.Array) -> list[str]:
        """Read which keys (text) of a table of the target belong to placeholders."""
        rows = self.session.execute(
            "SELECT target_key FROM {migration_placeholders} WHERE job_id = %(job)s"
            " AND target_table = %(table)s AND target_key = ANY(%(keys)s)",
            {"table": str(table), "keys": target_keys.drop_null().to_pylist()},
        ).fetchall()
        return [key for (key,) in rows]
