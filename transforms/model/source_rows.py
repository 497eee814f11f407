"""What is read of a partition: its rows, and those that can't be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from schemas.violations import ORDINAL

FILE, ROW = "_file", "_row"
"""The columns that every row of a file has besides its own."""

UNREAD_SCHEMA = pa.schema(
    [
        pa.field(ORDINAL, pa.int32(), nullable=False),
        pa.field("source_key", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""Candidates without a row, with the violation that each has: malformed lines of a file, and
rows that hold nothing to spread where these are rejected."""


def no_unread() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=UNREAD_SCHEMA)


@dataclass(frozen=True)
class SourceRows:
    """What a partition holds: ``batch``, and what of it Arrow can't represent.

    The columns of ``batch`` are named ``src.<name>`` and have the type ``ColumnType.arrow``.
    ``unrepresentable`` maps such a name to a mask (boolean, one value a row, no NULLs) of the
    values that are NULL in the batch but not in the source: timestamps after 294247 AD, and
    bytes of a database in SQL_ASCII that aren't UTF-8. Rows that use them are to be rejected
    with DATA-003. Columns without any are left out. ``oversized`` are the columns among these of
    which the server can't send the values, because rows with them are too large.

    ``unread`` (UNREAD_SCHEMA) are rows that aren't in the batch because they can't be read;
    then ``ordinals`` (int32) are the places of those that are. Without it they are all there.
    Where rows are spread, places are those of candidates; ``read`` says how many rows they come
    from, and ``empty`` how many of these gave none.
    """

    batch: pa.RecordBatch
    unrepresentable: Mapping[str, pa.BooleanArray]
    unread: pa.RecordBatch = field(default_factory=no_unread)
    ordinals: pa.Array | None = None
    read: int | None = None
    empty: int = 0
    oversized: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """The candidates: rows unless they are spread, also those that can't be read."""
        return int(self.batch.num_rows + self.unread.num_rows)

    @property
    def rows_read(self) -> int:
        """The rows of the source."""
        return self.count if self.read is None else self.read

    def only(self, place: int) -> SourceRows | None:
        """The one row of the batch at that place; None where it has no such row."""
        if place >= self.batch.num_rows:
            return None
        lost = {name: mask.slice(place, 1) for name, mask in self.unrepresentable.items()}
        # A slice would keep the buffers of all rows.
        return SourceRows(self.batch.take(pa.array([place])), lost, oversized=self.oversized)

    def first(self, count: int) -> SourceRows:
        """The first rows, also of those that can't be read."""
        if count >= self.count:
            return self
        if self.ordinals is None:
            lost = {name: mask.slice(0, count) for name, mask in self.unrepresentable.items()}
            return SourceRows(self.batch.slice(0, count), lost, oversized=self.oversized)
        within = pc.less(self.ordinals, count)
        return SourceRows(
            self.batch.filter(within),
            {name: mask.filter(within) for name, mask in self.unrepresentable.items()},
            self.unread.filter(pc.less(self.unread.column(ORDINAL), count)),
            self.ordinals.filter(within),
            oversized=self.oversized,
        )
