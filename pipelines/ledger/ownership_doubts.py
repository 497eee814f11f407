"""Why the ledger may not prove which rows of the target a load wrote."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from psycopg import sql

from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.written_rows import EPOCH

_OLDEST = EPOCH // 2
"""Transactions since a row was written after which nothing is promised about its ``xmin``."""


class OwnershipDoubt(Enum):
    """A reason for which the transaction numbers of rows don't prove who wrote them.

    The gravest come first.
    """

    EARLIER = "an earlier version wrote rows of it, and didn't record which"
    RESTORED = "the database was restored since, so which rows it wrote isn't known any more"
    AGED = "too many transactions have run since then to distinguish its rows from those of others"
    SEVERAL_EPOCHS = (
        "its table had rows before, which can have the same transaction numbers as those that it"
        " wrote, because the server had begun again with them"
    )
    UPSERTED = "it has overwritten rows (write: upsert), and nothing has kept what they were before"
    TOUCHED = "triggers changed further rows while it wrote, which may be those of others"


@dataclass(frozen=True)
class OwnershipDoubts:
    """Reads the doubts about loads of the session's job."""

    session: LedgerSession

    def read(self, loads: Collection[str]) -> dict[str, OwnershipDoubt]:
        """Read the gravest doubt about each load; loads without any are left out."""
        parts = {"epoch": sql.Literal(EPOCH), "oldest": sql.Literal(_OLDEST)}
        doubts: dict[str, OwnershipDoubt] = {}
        for doubt, query in _QUERIES.items():
            rows = self.session.execute(query, {"loads": list(loads)}, **parts).fetchall()
            for (name,) in rows:
                doubts.setdefault(name, doubt)
        return doubts


_WITHOUT_RECORD = """
SELECT DISTINCT p.load FROM {migration_partitions} p
LEFT JOIN (SELECT load, partition_id,
        sum(written) FILTER (WHERE written_as = 'rows') AS rows,
        sum(written) FILTER (WHERE written_as = 'placeholders') AS placeholders
    FROM {migration_written_rows} WHERE job_id = %(job)s GROUP BY load, partition_id) w
    USING (load, partition_id)
WHERE p.job_id = %(job)s AND p.load = ANY(%(loads)s) AND p.state = 'done'
    AND (coalesce(w.rows, 0) < p.written OR coalesce(w.placeholders, 0)
        < (SELECT coalesce(sum(e.value::int8), 0) FROM jsonb_each_text(p.placeholders) AS e))
"""
"""Of a load whose rows were deleted again when its references were settled, more is recorded than
the ledger counts."""

_NOT_AS_STORED = """
SELECT DISTINCT load FROM {migration_written_rows} WHERE job_id = %(job)s AND load = ANY(%(loads)s)
    AND xmin::text::int8 <> mod(transaction, {epoch})
"""

_TOO_OLD = """
SELECT DISTINCT load FROM {migration_written_rows} WHERE job_id = %(job)s AND load = ANY(%(loads)s)
    AND NOT txid_snapshot_xmax(txid_current_snapshot()) - transaction BETWEEN 0 AND {oldest}
"""

_AMBIGUOUS = """
SELECT DISTINCT w.load FROM {migration_written_rows} w JOIN {migration_loads} l USING (job_id)
WHERE job_id = %(job)s AND w.load = ANY(%(loads)s) AND w.transaction >= {epoch}
    AND (l.load = w.load OR w.written_as = 'placeholders') AND l.target_rows_before > 0
"""

_OVERWRITING = """
SELECT DISTINCT load FROM {migration_written_rows} WHERE job_id = %(job)s AND load = ANY(%(loads)s)
    AND written_as = 'rows' AND inserted < written
"""

_CHANGING_OTHERS = """
SELECT DISTINCT load FROM {migration_written_rows} WHERE job_id = %(job)s AND load = ANY(%(loads)s)
    AND written_as = 'others'
"""
"""As many rows can have been lost since, so that comparing their number isn't enough. Whose table
they are in isn't known (placeholders stand in their parents'), nor who has written to it since."""

_QUERIES = {
    OwnershipDoubt.EARLIER: _WITHOUT_RECORD,
    OwnershipDoubt.RESTORED: _NOT_AS_STORED,
    OwnershipDoubt.AGED: _TOO_OLD,
    OwnershipDoubt.SEVERAL_EPOCHS: _AMBIGUOUS,
    OwnershipDoubt.UPSERTED: _OVERWRITING,
    OwnershipDoubt.TOUCHED: _CHANGING_OTHERS,
}
