"""Which references reached the target: a parent's keys as an index in memory.

Three forms, chosen by the keys: a bitmap for integers that lie densely, sorted integers
for the rest, and for text sorted 64-bit hashes whose hits are verified against the text
itself. An index never changes once built, so threads share it without a lock.

Best times on one thread for 100,000 probes in random order, 98% of them hits, and what
building and keeping the index takes:

    ============================  ========  =========  =========  =========
    keys                          1M probe  10M probe  10M build  10M bytes
    ============================  ========  =========  =========  =========
    bitmap, dense int64             0.5 ms     0.6 ms      0.4 s       1 MB
    sorted int64                    5.8 ms    13.4 ms      0.3 s      80 MB
    text of 15 characters          10.9 ms    25.9 ms      2.6 s     271 MB
    generated, the same to int64   12.4 ms    30.3 ms      4.7 s     353 MB
    ============================  ========  =========  =========  =========
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hash = Callable[[pa.Array], npt.NDArray[np.uint64]]
"""Gives each string of an array a 64-bit number; equal strings get equal numbers."""

Integers = npt.NDArray[np.int64]

_BITS_PER_KEY = 64  # up to here a bitmap is no larger than the sorted keys, and 10 times faster
_BLOCK = 1_000_000  # keys per step while a bitmap is filled: bounds what the step itself takes


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


class KeySet:
    """The keys of a parent: which values are among them? ``nbytes`` is what it keeps in memory."""

    def __init__(self, family: str, index: _Bitmap | _Sorted | _HashedText) -> None:
        self._family = family
        self._index = index

    @classmethod
    def build(cls, keys: pa.Array | pa.ChunkedArray, hash_text: Hash = hash_text) -> KeySet:
        """An index of ``keys``: integers, text, bool, float, date32 or timestamps in µs.

        NULLs are left out, and keys may repeat. While it is built, it takes two to three
        times its final size beside ``keys``. Raises TypeError for a type without an index.
        """
        family = _family(keys.type)
        chunks = keys.chunks if isinstance(keys, pa.ChunkedArray) else [keys]
        chunks = [chunk.drop_null() for chunk in chunks]
        if family == "text":
            return cls(family, _HashedText.build(_one_array(chunks, keys.type), hash_text)[0])
        count = sum(map(len, chunks))
        low, high = _range(chunks)
        if high - low < _BITS_PER_KEY * count:
            return cls(family, _Bitmap(low, high, _blocks(chunks)))
        return cls(family, _Sorted(count, _blocks(chunks)))

    def contains(self, values: pa.Array) -> pa.BooleanArray:
        """For each value whether it is one of the keys; NULL where the value is.

        Compares as PostgreSQL does: integers of any width, float4 with float8, -0.0 is
        0.0 and NaN is NaN, text by its bytes. Raises TypeError where the values can't be
        compared with the keys.
        """
        if values.null_count == len(values):
            return pa.nulls(len(values), pa.bool_())
        if _family(values.type) != self._family:
            raise TypeError(f"{values.type} can't be compared with keys that are {self._family}")
        if isinstance(self._index, _HashedText):
            hits = self._index.find(values) >= 0
        else:
            hits = self._index.holds(_integers(values))
        return _nulls_kept(hits, values)

    @property
    def texts(self) -> pa.Array | None:
        """The keys, where they are text."""
        return self._index.texts if isinstance(self._index, _HashedText) else None

    @property
    def nbytes(self) -> int:
        return self._index.nbytes


class KeyMap:
    """Generated keys: the target's key for the source's.

    ``ambiguous`` is the KeySet of the source keys that have two different target keys;
    ``lookup`` gives none for them. ``nbytes`` is what it keeps in memory.
    """

    def __init__(self, index: _HashedText, values: pa.Array, ambiguous: KeySet) -> None:
        self._index = index
        self._values = values
        self.ambiguous = ambiguous

    @classmethod
    def build(
        cls,
        keys: pa.Array | pa.ChunkedArray,
        values: pa.Array | pa.ChunkedArray,
        hash_text: Hash = hash_text,
    ) -> KeyMap:
        """An index from ``keys`` (text) to ``values`` (text or integers), row by row.

        A row with a NULL in either is left out; a row that is there twice counts once.
        Raises TypeError where ``keys`` isn't text.
        """
        if _family(keys.type) != "text":
            raise TypeError(f"source keys are text, not {keys.type}")
        pairs = pa.table({"key": keys, "value": values})
        if keys.null_count or values.null_count:
            pairs = pairs.drop_null()
        texts = _one_array(pairs.column("key").chunks, keys.type)
        results = _one_array(pairs.column("value").chunks, values.type)
        index, rows, sharing = _HashedText.build(texts, hash_text)
        several = _with_two_values(texts.take(sharing), results.take(sharing))
        ambiguous = KeySet.build(several, hash_text)
        results = results.take(rows)
        if len(several):
            none = pa.scalar(None, results.type)
            results = pc.if_else(ambiguous.contains(index.texts), none, results)
        return cls(index, results, ambiguous)

    def lookup(self, values: pa.Array) -> pa.Array:
        """The target key of each source key (text), in the type that was given to ``build``.

        NULL where the value is NULL, absent or ambiguous.
        """
        if values.null_count == len(values):
            return pa.nulls(len(values), self._values.type)
        if _family(values.type) != "text":
            raise TypeError(f"source keys are text, not {values.type}")
        found = self._index.find(values)
        return self._values.take(pa.array(found, mask=found < 0))

    @property
    def texts(self) -> pa.Array:
        """The source keys."""
        return self._index.texts

    @property
    def nbytes(self) -> int:
        return int(self._index.nbytes + self._values.nbytes + self.ambiguous.nbytes)


class _Bitmap:
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
        place = self._place(numbers)
        inside: npt.NDArray[np.bool_] = place <= self._span
        place[~inside] = 0
        bits = self._bits[place >> 3] >> (place & 7).astype(np.uint8) & 1
        inside &= bits.astype(np.bool_)
        return inside

    @property
    def nbytes(self) -> int:
        return self._bits.nbytes


class _Sorted:
    """Integers in order, searched by binary search."""

    def __init__(self, count: int, blocks: Iterator[Integers]) -> None:
        self._numbers = np.empty(count, np.int64)
        filled = 0
        for block in blocks:
            self._numbers[filled : filled + len(block)] = block
            filled += len(block)
        self._numbers.sort()

    def holds(self, numbers: Integers) -> npt.NDArray[np.bool_]:
        hits = np.zeros(len(numbers), np.bool_)
        order, _, candidates = _search(self._numbers, numbers)
        hits[order[candidates]] = True
        return hits

    @property
    def nbytes(self) -> int:
        return self._numbers.nbytes


class _HashedText:
    """Distinct strings, ``texts``, in the order of their hashes."""

    def __init__(self, texts: pa.Array, hashes: npt.NDArray[np.uint64], hash_text: Hash) -> None:
        self.texts = texts
        self._hashes = hashes
        self._hash = hash_text

    @classmethod
    def build(cls, texts: pa.Array, hash_text: Hash) -> tuple[_HashedText, pa.Array, pa.Array]:
        """The index of ``texts``, and two arrays of places (int64) in ``texts``.

        The first says where each string of the index came from, the second where a string
        stands whose hash is not its own: repeated strings and true collisions.
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
        found = np.full(len(values), -1, np.int64)
        hashes = self._hash(values)
        order, place, candidates = _search(self._hashes, hashes)
        while len(candidates):
            at, row = place[candidates], order[candidates]
            same = pc.equal(
                self.texts.take(pa.array(at)), values.take(pa.array(row)).cast(self.texts.type)
            )
            verified = same.fill_null(False).to_numpy(zero_copy_only=False)
            found[row[verified]] = at[verified]
            # Another string may have the same hash: it stands next.
            candidates = candidates[~verified]
            place[candidates] += 1
            candidates = candidates[place[candidates] < len(self._hashes)]
            candidates = candidates[self._hashes[place[candidates]] == hashes[order[candidates]]]
        return found

    @property
    def nbytes(self) -> int:
        return int(self._hashes.nbytes + self.texts.nbytes)


def _search(
    numbers: npt.NDArray[Any], probes: npt.NDArray[Any]
) -> tuple[Integers, Integers, Integers]:
    """Finds ``probes`` in the ordered ``numbers``.

    Gives the order of the probes by size, for each of them in that order the first place
    in ``numbers`` that is no smaller, and which of these hold the probe itself.
    """
    # In order, because neighbouring probes then meet the same memory: 4 to 7 times faster.
    order = np.argsort(probes)
    in_order = probes[order]
    place = np.searchsorted(numbers, in_order)
    below = np.flatnonzero(place < len(numbers))
    return order, place, below[numbers[place[below]] == in_order[below]]


def _family(kind: pa.DataType) -> str:
    """What ``kind`` can be compared with."""
    if pa.types.is_signed_integer(kind):
        return "integer"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_date32(kind):
        return "date"
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        return "timestamp"
    raise TypeError(f"keys of type {kind} can't be looked up")


def _integers(values: pa.Array) -> Integers:
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


def _blocks(chunks: Sequence[pa.Array]) -> Iterator[Integers]:
    for chunk in chunks:
        for start in range(0, len(chunk), _BLOCK):
            yield _integers(chunk.slice(start, _BLOCK))


def _range(chunks: Sequence[pa.Array]) -> tuple[int, int]:
    """The smallest and the largest of the integers; 0 and 0 where there are none."""
    ends = [(int(block.min()), int(block.max())) for block in _blocks(chunks)]
    return min((low for low, _ in ends), default=0), max((high for _, high in ends), default=0)


def _one_array(chunks: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    if sum(chunk.nbytes for chunk in chunks) >= 2**31 and pa.types.is_string(kind):
        kind = pa.large_string()
    return pa.concat_arrays([pa.array([], kind), *(chunk.cast(kind) for chunk in chunks)])


def _with_two_values(keys: pa.Array, values: pa.Array) -> pa.Array:
    """The distinct ``keys`` that stand beside more than one distinct value."""
    pairs = pa.table({"key": keys, "value": values})
    counts = pairs.group_by("key").aggregate([("value", "count_distinct")])
    several = pc.greater(counts.column("value_count_distinct"), 1)
    return _one_array(counts.column("key").filter(several).chunks, keys.type)


def _nulls_kept(hits: npt.NDArray[np.bool_], values: pa.Array) -> pa.BooleanArray:
    if not values.null_count:
        return pa.array(hits)
    return pa.array(hits, mask=values.is_null().to_numpy(zero_copy_only=False))
