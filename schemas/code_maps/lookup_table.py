"""Lookup tables: maps from a file or a database, from keys of one or more columns to a value."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.chains import CircularChains, Places, chain_ends


class ContradictoryKeys(ValueError):
    """Some keys have several values; ``rows`` are pairs of rows that contradict each other."""

    def __init__(self, rows: Sequence[tuple[int, int]]) -> None:
        self.rows = tuple(rows)
        super().__init__(f"{len(rows)} rows contradict another one")


@dataclass(frozen=True)
class LookupTable:
    """A lookup table. Two are equal if name and digest are.

    Attributes:
        name: Its name in the specification.
        sha256: The hexadecimal digest of keys and values.
        keys: The key columns (string), sorted. No key is NULL in any part, and each is there once.
        values: The value of each key (string). NULL is a value: the field is missing.
    """

    name: str
    sha256: str
    keys: tuple[pa.Array, ...] = field(compare=False, repr=False)
    values: pa.Array = field(compare=False, repr=False)

    @classmethod
    def build(
        cls, name: str, keys: Sequence[pa.Array], values: pa.Array, chain: bool = False
    ) -> LookupTable:
        """Builds a table of rows in any order; rows with a NULL in the key are left out.

        Args:
            name: Its name in the specification.
            keys: The key columns (string).
            values: The value of each row (string).
            chain: Whether a key stands for the value at the end of its chain. It then has one
                part.

        Raises:
            ContradictoryKeys: A key has different values, of which one may be NULL.
            CircularChains: A chain has no end. Both name rows of the arguments.
        """
        names = [f"key_{number}" for number in range(len(keys))]
        rows = pa.table([*keys, values, pa.array(np.arange(len(values)))], [*names, "value", "row"])
        if any(column.null_count for column in keys):
            whole = np.logical_and.reduce([column.is_valid() for column in keys])
            rows = rows.filter(pa.array(whole))
        order = [(column, "ascending") for column in (*names, "row")]
        rows = rows.take(pc.sort_indices(rows, sort_keys=order))
        rows = _without_repeated(rows, names)
        columns = [rows.column(column).combine_chunks() for column in (*names, "value")]
        if chain:
            columns[-1] = columns[-1].take(pa.array(_ends(rows, *columns)))
        digest = hashlib.sha256()
        for column in columns:
            _feed(digest, column)
        return cls(name, digest.hexdigest(), tuple(columns[:-1]), columns[-1])

    @property
    def has_content(self) -> bool:
        """Whether its content is here; otherwise ``map_store`` has it."""
        return bool(self.keys)

    def without_content(self) -> LookupTable:
        """The table without its content."""
        return LookupTable(self.name, self.sha256, (), pa.array([], pa.string()))

    @property
    def label(self) -> str:
        """The name of table and content: ``local_lab/sha256:44f4079c698e``."""
        return f"{self.name}/sha256:{self.sha256[:12]}"


def _without_repeated(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Drops sorted rows that repeat the one before. Raises ContradictoryKeys."""
    before, after = rows.slice(0, max(0, len(rows) - 1)), rows.slice(1)
    repeats = np.ones(len(after), np.bool_)
    for name in names:
        repeats &= _flags(pc.equal(before.column(name), after.column(name)))
    one, other = before.column("value"), after.column("value")
    differs = _flags(pc.xor(one.is_null(), other.is_null()))
    differs |= _flags(pc.not_equal(one, other).fill_null(False))
    contradicting = pa.array(repeats & differs)
    if contradicting.true_count:
        pairs = [table.column("row").filter(contradicting).to_pylist() for table in (before, after)]
        raise ContradictoryKeys(sorted(zip(*pairs, strict=True)))
    return rows.filter(pa.array(np.append(True, ~repeats)[: len(rows)])) if repeats.any() else rows


def _flags(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(column)


def _ends(rows: pa.Table, keys: pa.Array, values: pa.Array) -> Places:
    """Finds the chain ends of sorted rows; errors name the rows before they were sorted."""
    try:
        return chain_ends(keys, values)
    except CircularChains as circular:
        places = rows.column("row").take(pa.array(circular.rows)).to_pylist()
        raise CircularChains(circular.count, sorted(places)) from None


def _feed(digest: hashlib._Hash, column: pa.Array) -> None:
    """Adds a column to a digest: which values are NULL, how long each is, and their bytes."""
    texts = column.fill_null("")
    digest.update(np.asarray(column.is_valid()).astype(np.uint8).tobytes())
    digest.update(np.asarray(pc.binary_length(texts)).astype("<i4").tobytes())
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    digest.update(pc.binary_join(whole, "")[0].as_buffer())
