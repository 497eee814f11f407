"""A lookup table in use: its index is built once, and asked for each batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.blanks import without_blanks
from schemas.code_maps.lookup_table import LookupTable
from schemas.specification.policies import UnmappedAction
from transforms.keys.parent_keys import KeyMap
from transforms.mapping.field_steps import part_prefixes
from transforms.model.field_maps import Pairs, TableLookup, Unmapped
from transforms.model.field_program import FieldProgram
from transforms.sql.duckdb_engine import one_array

_BETWEEN = "\0"
"""Stands between the parts of a key: neither a file nor PostgreSQL has it in a text."""


class Lookup:
    """The values of keys, and the attributes that ``into`` asks for.

    It never changes once built, so threads share it.
    """

    def __init__(self, table: LookupTable) -> None:
        rows = pa.array(np.arange(len(table.values), dtype=np.int64))
        self.attributes = {
            "map": table.label,
            "map_name": table.name,
            "map_sha256": table.sha256,
        }
        self._rows = KeyMap.build(_join_parts(table.keys), rows)
        self._values = table.values
        self._unless_blank = without_blanks(table.values)

    def find(
        self, keys: Sequence[pa.Array], blank_is_missing: bool
    ) -> tuple[pa.Array, pa.BooleanArray, pa.BooleanArray]:
        """Looks up keys.

        Args:
            keys: the key of each row, an array of strings for each of its parts.
            blank_is_missing: blank values of the table are NULL.

        Returns:
            For each row the value, whether the table lacks the key, and whether it has it. A key
            without one of its parts is none: the table neither has nor lacks it.
        """
        joined = _join_parts(keys)
        rows = self._rows.lookup(joined)
        is_there = rows.is_valid()
        values = self._unless_blank if blank_is_missing else self._values
        return values.take(rows), pc.and_not(joined.is_valid(), is_there), is_there


def _join_parts(keys: Sequence[pa.Array]) -> pa.Array:
    if len(keys) == 1:
        return keys[0]
    return pc.binary_join_element_wise(*keys, _BETWEEN)


def look_up(
    keys: pa.Table, fields: Sequence[FieldProgram], lookups: Mapping[str, Lookup]
) -> pa.Table:
    """Looks up the keys of fields in their maps.

    Args:
        keys: for each field ``t.NAME``, and ``t2.NAME`` and so on for further parts of the key.
        fields: fields with a map that is looked up.
        lookups: the lookup tables by name.

    Returns:
        The keys with ``m.NAME`` (the value of the map), ``lost.NAME`` (bool: the map lacks the
        key) and ``known.NAME`` (bool: it has the key).
    """
    for field in fields:
        used = field.lookup
        assert used is not None
        parts = [
            one_array(keys.column(f"{prefix}.{field.name}"), pa.string())
            for prefix in part_prefixes(field, "t")
        ]
        lookup = lookups[used.table] if isinstance(used, TableLookup) else _of_pairs(used.pairs)
        values, lost, is_there = lookup.find(parts, field.blank_is_missing)
        keys = keys.append_column(
            f"m.{field.name}", _fill_unmapped(values, lost, parts, used.unmapped)
        )
        keys = keys.append_column(f"lost.{field.name}", lost)
        keys = keys.append_column(f"known.{field.name}", is_there)
    return keys


@lru_cache(maxsize=16)
def _of_pairs(pairs: Pairs) -> Lookup:
    """The lookup of a map whose values stand in the specification."""
    keys, values = (pa.array(column, pa.string()) for column in zip(*pairs, strict=True))
    return Lookup(LookupTable.build("values", [keys], values))


def _fill_unmapped(
    values: pa.Array, lost: pa.Array, parts: Sequence[pa.Array], unmapped: Unmapped
) -> pa.Array:
    """Replaces the values of keys that the map lacks, as its policy says."""
    if unmapped.action is UnmappedAction.KEEP:
        return pc.if_else(lost, parts[0], values)
    if unmapped.action is UnmappedAction.DEFAULT:
        return pc.if_else(lost, pa.scalar(unmapped.default, pa.string()), values)
    return values
