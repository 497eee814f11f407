"""Chains of a map, in which a value is itself a key, as in records that were merged twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Places = npt.NDArray[np.int64]


class CircularChains(ValueError):
    """Some chains have no end: there are ``count`` circles; ``rows`` are those of the first."""

    def __init__(self, count: int, rows: Sequence[int]) -> None:
        self.count, self.rows = count, tuple(rows)
        super().__init__(f"{count} chains have no end")


def chain_ends(keys: pa.Array, values: pa.Array) -> Places:
    """Finds the row in which the chain of each row ends: a -> b, b -> c makes a and b end at c.

    A chain ends where the value is NULL, isn't a key, or is the row's own key: a record that is
    merged into itself survives. Each round doubles the distance that a row looks ahead, so a chain
    of a million rows takes twenty rounds.

    Args:
        keys: Distinct keys without NULL.
        values: The value of each key.

    Returns:
        The position of the last row of each row's chain.

    Raises:
        CircularChains: A chain has no end.
    """
    count = len(keys)
    here = np.arange(count, dtype=np.int64)
    next_row = pc.index_in(values, value_set=keys)
    following = np.where(next_row.is_valid(), next_row.fill_null(0), here).astype(np.int64)
    ends = following == here
    seen = following
    for _ in range(count.bit_length()):
        further = seen[seen]
        if np.array_equal(further, seen):
            break
        seen = further
    endless = ~ends[seen]
    if endless.any():
        # A row that looks far enough ahead sees a row of the circle.
        raise _circular(following, np.unique(seen[endless]))
    return seen


def _circular(following: Places, circling: Places) -> CircularChains:
    """Counts the circles, each identified by its first row."""
    first: Places = np.arange(len(following), dtype=np.int64)
    hop = following
    for _ in range(len(following).bit_length()):
        first, hop = np.minimum(first, first[hop]), hop[hop]
    circles = np.unique(first[circling])
    example = circling[first[circling] == circles[0]]
    return CircularChains(len(circles), example.tolist())
