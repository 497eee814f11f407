"""Counted slices of a relation, side by side in some order, and how they make partitions.

Physical positions, keys and hashes all divide a relation in the same way: cut it finer
than necessary, count each slice, then put neighbours together up to the bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from psycopg import sql

Cut = TypeVar("Cut")

FINENESS = 16
"""Slices that a full partition is made of; more of them make partitions more even."""

_HALVINGS = 7
"""Steps of the search for even partitions: to less than one percent."""


@dataclass(frozen=True)
class PartitionBounds:
    """The most a partition should hold: ``rows``, and ``bytes`` of its Arrow batch."""

    rows: int = 100_000
    bytes: int = 8 * 2**20

    def __post_init__(self) -> None:
        if self.rows < 1 or self.bytes < 1:
            raise ValueError("a partition has at least one row and one byte")

    def share(self, rows: int, size: float) -> float:
        """How full a partition of ``rows`` rows and ``size`` bytes is; above 1 it is too large."""
        return max(rows / self.rows, size / self.bytes)


@dataclass(frozen=True)
class Slice(Generic[Cut]):
    """The rows from the cut ``start`` up to the next slice: their number and bytes."""

    start: Cut
    rows: int
    size: float


@dataclass(frozen=True)
class Range:
    """Rows that one condition picks, and the source's own count of them."""

    condition: sql.Composable
    rows: int


def merge(slices: Sequence[Slice[Cut]], bounds: PartitionBounds) -> list[Slice[Cut]]:
    """Put neighbouring slices together: as few as the bounds allow, as even as they come.

    Empty slices disappear in their neighbours, so every result has rows; a result beyond
    the bounds is always a single slice of ``slices``.
    """
    filled = [s for s in slices if s.rows]
    groups = _fill(filled, bounds, 1.0)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS if len(groups) > 1 else 0):
        middle = (low + high) / 2
        attempt = _fill(filled, bounds, middle)
        if len(attempt) <= len(groups):
            groups, high = attempt, middle
        else:
            low = middle
    return groups


def with_stops(slices: Sequence[Slice[Cut]]) -> Iterator[tuple[Slice[Cut], Cut | None]]:
    """Each slice with the cut at which the next one starts, None for the last."""
    stops: list[Cut | None] = [s.start for s in slices[1:]]
    return zip(slices, stops + [None] * bool(slices), strict=True)


def _fill(slices: Sequence[Slice[Cut]], bounds: PartitionBounds, limit: float) -> list[Slice[Cut]]:
    groups: list[Slice[Cut]] = []
    for added in slices:
        if groups:
            last = groups[-1]
            rows, size = last.rows + added.rows, last.size + added.size
            if bounds.share(rows, size) <= limit:
                groups[-1] = Slice(last.start, rows, size)
                continue
        groups.append(added)
    return groups
