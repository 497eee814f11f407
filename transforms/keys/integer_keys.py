"""Integers as an index in memory: a bitmap where they lie densely, else in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.keys.ordered_search import Integers, search_ordered

BITS_PER_KEY = 64
"""Up to here a bitmap is no larger than the sorted keys, and ten times faster."""

_BLOCK = 1_000_000
"""Keys per step while a bitmap is filled: bounds the memory that the step itself takes."""


class Bitmap:
    """One bit for each integer from ``low`` to ``high``."""

    def __init__(self, low: int, high: int, blocks: Iterator[Integers]) -> None:
        self._low = np.uint64(low % 2**64)
        self._span = np.uint64(high - low)
        self._bits = np.zeros((high - low) // 8 + 1, np.uint8)
        for block in blocks:
            place = self._place(block)
            for bit in range(8):
                # An indexed |= loses all but one of several writes to the same byte: with
                # one bit at a time they are all the same write.
                self._bits[place[place & 7 == bit] >> 3] |= 1 << bit

    def _place(self, numbers: Integers) -> npt.NDArray[np.uint64]:
        # Unsigned and modulo 2**64: what lies below ``low`` comes out above the span too.
        places: npt.NDArray[np.uint64] = numbers.view(np.uint64) - self._low
        return places

    def holds(self, numbers: Integers) -> npt.NDArray[np.bool_]:
        """Whether each number is among the keys."""
        place = self._place(numbers)
        inside: npt.NDArray[np.bool_] = place <= self._span
        place[~inside] = 0
        bits = self._bits[place >> 3] >> (place & 7).astype(np.uint8) & 1
        inside &= bits.astype(np.bool_)
        return inside

    @property
    def nbytes(self) -> int:
        return self._bits.nbytes


class SortedIntegers:
    """Integers in order, searched by binary search."""

    def __init__(self, count: int, blocks: Iterator[Integers]) -> None:
        self._numbers = np.empty(count, np.int64)
        filled = 0
        for block in blocks:
            self._numbers[filled : filled + len(block)] = block
            filled += len(block)
        self._numbers.sort()

    def holds(self, numbers: Integers) -> npt.NDArray[np.bool_]:
        """Whether each number is among the keys."""
        hits = np.zeros(len(numbers), np.bool_)
        order, _, candidates = search_ordered(self._numbers, numbers)
        hits[order[candidates]] = True
        return hits

    @property
    def nbytes(self) -> int:
        return self._numbers.nbytes


def as_integers(values: pa.Array) -> Integers:
    """Integers that are equal where PostgreSQL calls the values equal; any for a NULL."""
    if pa.types.is_floating(values.type):
        numbers = values.cast(pa.float64()).fill_null(0.0).to_numpy() + 0.0  # -0.0 becomes 0.0
        numbers[np.isnan(numbers)] = np.nan
        bits: Integers = numbers.view(np.int64)
        return bits
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    elif pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    integers: Integers = values.cast(pa.int64()).fill_null(0).to_numpy()
    return integers


def blocks_of(chunks: Sequence[pa.Array]) -> Iterator[Integers]:
    """The values of ``chunks`` as integers, a bounded number at a time."""
    for chunk in chunks:
        for start in range(0, len(chunk), _BLOCK):
            yield as_integers(chunk.slice(start, _BLOCK))


def range_of(chunks: Sequence[pa.Array]) -> tuple[int, int]:
    """The smallest and the largest of the integers; 0 and 0 where there are none."""
    ends = [(int(block.min()), int(block.max())) for block in blocks_of(chunks)]
    return min((low for low, _ in ends), default=0), max((high for _, high in ends), default=0)
