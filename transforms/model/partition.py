"""The unit of work: one partition of one load, read, checked and written in one transaction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Partition:
    """A part of a load's source rows that is planned once and stored in the ledger.

    ``id`` is stable over restarts and sorts in reading order. ``predicate`` is the SQL
    condition, in the source's dialect, that picks exactly its rows; ``TRUE`` for all of
    them. The predicates of a load cover every row once, NULL keys included. ``rows`` is
    the source's own count of them when the partition was planned. ``relation`` is the
    position of the relation that it is a part of, where a load unites several. ``limit``
    makes a sample of it: that many rows, whichever come first.
    """

    load: str
    id: str
    predicate: str
    rows: int
    relation: int = 0
    limit: int | None = None

    @property
    def place(self) -> str:
        """Its name in problems and logs."""
        return f"table {self.load}, partition {self.id}"
