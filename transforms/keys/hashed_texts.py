"""Text as an index in memory: sorted 64-bit hashes, whose hits are verified against the text."""

from __future__ import annotations

import functools
from collections.abc import Callable

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.keys.ordered_search import Integers, search_ordered

Hash = Callable[[pa.Array], npt.NDArray[np.uint64]]
"""Gives each string of an array a 64-bit number; equal strings get equal numbers."""


@functools.cache
def _hashing() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def hash_text(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """DuckDB's hash of each string; the same within a process, not across versions."""
    # A cursor of its own, because a connection that another thread uses is busy.
    with _hashing().cursor() as cursor:
        relation = cursor.from_arrow(pa.table({"text": texts})).project("hash(text)")
        hashes: npt.NDArray[np.uint64] = relation.to_arrow_table().column(0).to_numpy()
    return hashes


class HashedTexts:
    """Distinct strings, ``texts``, in the order of their hashes."""

    def __init__(self, texts: pa.Array, hashes: npt.NDArray[np.uint64], hash_text: Hash) -> None:
        self.texts = texts
        self._hashes = hashes
        self._hash = hash_text

    @classmethod
    def build(cls, texts: pa.Array, hash_text: Hash) -> tuple[HashedTexts, pa.Array, pa.Array]:
        """Build the index of strings.

        Args:
            texts: strings, of which some may repeat; no NULL.
            hash_text: their hash.

        Returns:
            The index, and two arrays of places (int64) in ``texts``: where each string of the
            index came from, and the places of strings that share their hash with another, as
            repeated strings and true collisions do.
        """
        hashes = hash_text(texts)
        rows = np.argsort(hashes, kind="stable")
        hashes = hashes[rows]
        equal = hashes[1:] == hashes[:-1]
        shared = np.append(equal, False) | np.append(False, equal)
        sharing = pa.array(rows[shared[: len(rows)]])
        if len(sharing):
            codes = texts.take(sharing).dictionary_encode().indices.to_numpy()
            first = np.unique(codes, return_index=True)[1]
            kept = ~shared
            kept[np.flatnonzero(shared)[first]] = True
            rows, hashes = rows[kept], hashes[kept]
        places = pa.array(rows)
        return cls(texts.take(places), hashes, hash_text), places, sharing

    def find(self, values: pa.Array) -> Integers:
        """The place of each value in ``texts``, -1 where it is absent or NULL."""
        places = np.full(len(values), -1, np.int64)
        hashes = self._hash(values)
        order, place, candidates = search_ordered(self._hashes, hashes)
        while len(candidates):
            at, row = place[candidates], order[candidates]
            same = pc.equal(
                self.texts.take(pa.array(at)), values.take(pa.array(row)).cast(self.texts.type)
            )
            verified = same.fill_null(False).to_numpy(zero_copy_only=False)
            places[row[verified]] = at[verified]
            # Another string may have the same hash: it comes next.
            candidates = candidates[~verified]
            place[candidates] += 1
            candidates = candidates[place[candidates] < len(self._hashes)]
            candidates = candidates[self._hashes[place[candidates]] == hashes[order[candidates]]]
        return places

    @property
    def nbytes(self) -> int:
        return int(self._hashes.nbytes + self.texts.nbytes)
