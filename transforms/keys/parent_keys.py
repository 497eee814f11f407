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

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.keys.hashed_texts import Hash, HashedTexts, hash_text
from transforms.keys.integer_keys import (
    BITS_PER_KEY,
    Bitmap,
    SortedIntegers,
    as_integers,
    blocks_of,
    range_of,
)


class KeySet:
    """The keys of a parent: which values are among them? ``nbytes`` is what it keeps in memory."""

    def __init__(self, family: str, index: Bitmap | SortedIntegers | HashedTexts) -> None:
        self._family = family
        self._index = index

    @classmethod
    def build(cls, keys: pa.Array | pa.ChunkedArray, hash_text: Hash = hash_text) -> KeySet:
        """Build the index of a parent's keys.

        While it is built, it takes two to three times its final size beside ``keys``.

        Args:
            keys: integers, text, bool, float, date32 or timestamps in µs. NULLs are left out,
                and keys may repeat.
            hash_text: the hash of text.

        Returns:
            The set of ``keys``.

        Raises:
            TypeError: the type has no index.
        """
        family = _family(keys.type)
        chunks = keys.chunks if isinstance(keys, pa.ChunkedArray) else [keys]
        chunks = [chunk.drop_null() for chunk in chunks]
        if family == "text":
            return cls(family, HashedTexts.build(_one_array(chunks, keys.type), hash_text)[0])
        count = sum(map(len, chunks))
        low, high = range_of(chunks)
        if high - low < BITS_PER_KEY * count:
            return cls(family, Bitmap(low, high, blocks_of(chunks)))
        return cls(family, SortedIntegers(count, blocks_of(chunks)))

    def contains(self, values: pa.Array) -> pa.BooleanArray:
        """Whether values are among the keys, compared as PostgreSQL compares them.

        Args:
            values: integers of any width are comparable, float4 with float8; -0.0 equals 0.0 and
                NaN equals NaN, text is compared by its bytes.

        Returns:
            For each value whether it is one of the keys; NULL where the value is.

        Raises:
            TypeError: the values can't be compared with the keys.
        """
        if values.null_count == len(values):
            return pa.nulls(len(values), pa.bool_())
        if _family(values.type) != self._family:
            raise TypeError(f"{values.type} can't be compared with keys that are {self._family}")
        if isinstance(self._index, HashedTexts):
            hits = self._index.find(values) >= 0
        else:
            hits = self._index.holds(as_integers(values))
        return _nulls_kept(hits, values)

    @property
    def texts(self) -> pa.Array | None:
        """The keys, where they are text."""
        return self._index.texts if isinstance(self._index, HashedTexts) else None

    @property
    def nbytes(self) -> int:
        return self._index.nbytes


class KeyMap:
    """Generated keys: the target's key for the source's.

    ``ambiguous`` is the KeySet of the source keys that have two different target keys;
    ``lookup`` gives none for them. ``nbytes`` is what it keeps in memory.
    """

    def __init__(self, index: HashedTexts, values: pa.Array, ambiguous: KeySet) -> None:
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
        """Build the index from source keys to target keys.

        Args:
            keys: source keys (text).
            values: their target keys (text or integers), row by row. A row with a NULL in either
                is left out; a row that is there twice counts once.
            hash_text: the hash of text.

        Returns:
            The map of ``keys`` to ``values``.

        Raises:
            TypeError: ``keys`` isn't text.
        """
        if _family(keys.type) != "text":
            raise TypeError(f"source keys are text, not {keys.type}")
        pairs = pa.table({"key": keys, "value": values})
        if keys.null_count or values.null_count:
            pairs = pairs.drop_null()
        texts = _one_array(pairs.column("key").chunks, keys.type)
        results = _one_array(pairs.column("value").chunks, values.type)
        index, rows, sharing = HashedTexts.build(texts, hash_text)
        several = _with_two_values(texts.take(sharing), results.take(sharing))
        ambiguous = KeySet.build(several, hash_text)
        results = results.take(rows)
        if len(several):
            none = pa.scalar(None, results.type)
            results = pc.if_else(ambiguous.contains(index.texts), none, results)
        return cls(index, results, ambiguous)

    def lookup(self, values: pa.Array) -> pa.Array:
        """Look source keys up.

        Args:
            values: source keys (text).

        Returns:
            The target key of each, in the type of ``build``'s values; NULL where the source key
            is NULL, absent or ambiguous.

        Raises:
            TypeError: ``values`` isn't text.
        """
        if values.null_count == len(values):
            return pa.nulls(len(values), self._values.type)
        if _family(values.type) != "text":
            raise TypeError(f"source keys are text, not {values.type}")
        places = self._index.find(values)
        return self._values.take(pa.array(places, mask=places < 0))

    @property
    def texts(self) -> pa.Array:
        """The source keys."""
        return self._index.texts

    @property
    def nbytes(self) -> int:
        return int(self._index.nbytes + self._values.nbytes + self.ambiguous.nbytes)


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


def _one_array(chunks: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    if sum(chunk.nbytes for chunk in chunks) >= 2**31 and pa.types.is_string(kind):
        kind = pa.large_string()
    return pa.concat_arrays([pa.array([], kind), *(chunk.cast(kind) for chunk in chunks)])


def _with_two_values(keys: pa.Array, values: pa.Array) -> pa.Array:
    """The distinct ``keys`` that have more than one distinct value."""
    pairs = pa.table({"key": keys, "value": values})
    counts = pairs.group_by("key").aggregate([("value", "count_distinct")])
    several = pc.greater(counts.column("value_count_distinct"), 1)
    return _one_array(counts.column("key").filter(several).chunks, keys.type)


def _nulls_kept(hits: npt.NDArray[np.bool_], values: pa.Array) -> pa.BooleanArray:
    if not values.null_count:
        return pa.array(hits)
    return pa.array(hits, mask=values.is_null().to_numpy(zero_copy_only=False))
