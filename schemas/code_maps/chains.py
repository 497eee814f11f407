"""Chains: where a value of a map is itself a key, as in records that were merged twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Places = npt.NDArray[np.int64]


class CircularChains(ValueError):
    """Chains that have no end: ``count`` circles, and the ``rows`` of the first of them."""

    def __init__(self, count: int, rows: Sequence[int]) -> None:
        self.count, self.rows = count, tuple(rows)
        super().__init__(f"{count} chains have no end")


def chain_ends(keys: pa.Array, values: pa.Array) -> Places:
    """For each row the row in which its chain ends: a -> b, b -> c makes a and b end at c.

    ``keys`` are distinct and not NULL. A chain ends where the value is NULL, no key, or the row's
    own key: a record that is merged into itself is one that survives. Raises CircularChains.

    Each round doubles how far a row sees, so a chain of a million rows takes twenty rounds.
    """
    count = len(keys)
    here = np.arange(count, dtype=np.int64)
    found = pc.index_in(values, value_set=keys)
    following = np.where(found.is_valid(), found.fill_null(0), here).astype(np.int64)
    ends = following == here
    seen = following
    for _ in range(count.bit_length()):
        further = seen[seen]
        if np.array_equal(further, seen):
            break
        seen = further
    endless = ~ends[seen]
    if endless.any():
        # From far enough, only rows that stand in a circle are seen.
        raise _circular(following, np.unique(seen[endless]))
    return seen


def _circular(following: Places, circling: Places) -> CircularChains:
    """The circles that rows stand in; each is known by its first row."""
    first: Places = np.arange(len(following), dtype=np.int64)
    hop = following
    for _ in range(len(following).bit_length()):
        first, hop = np.minimum(first, first[hop]), hop[hop]
    circles = np.unique(first[circling])
    example = circling[first[circling] == circles[0]]
    return CircularChains(len(circles), example.tolist())
