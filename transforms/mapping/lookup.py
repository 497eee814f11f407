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
    """What keys stand for, and what ``into`` says of a value that it has given.

    It never changes once built, so threads share it.
    """

    def __init__(self, table: LookupTable) -> None:
        rows = pa.array(np.arange(len(table.values), dtype=np.int64))
        self.attributes = {
            "map": table.label,
            "map_name": table.name,
            "map_sha256": table.sha256,
        }
        self._rows = KeyMap.build(_joined(table.keys), rows)
        self._values = table.values
        self._unless_blank = without_blanks(table.values)

    def find(
        self, keys: Sequence[pa.Array], blank_is_missing: bool
    ) -> tuple[pa.Array, pa.BooleanArray, pa.BooleanArray]:
        """For each row what its key (strings, a part a column) stands for, whether the table
        lacks it, and whether it has it. A key without one of its parts is none: neither.
        Blank values are NULL where ``blank_is_missing``."""
        joined = _joined(keys)
        rows = self._rows.lookup(joined)
        known = rows.is_valid()
        values = self._unless_blank if blank_is_missing else self._values
        return values.take(rows), pc.and_not(joined.is_valid(), known), known


def _joined(keys: Sequence[pa.Array]) -> pa.Array:
    if len(keys) == 1:
        return keys[0]
    return pc.binary_join_element_wise(*keys, _BETWEEN)


def look_up(
    keys: pa.Table, fields: Sequence[FieldProgram], lookups: Mapping[str, Lookup]
) -> pa.Table:
    """Adds ``m.NAME`` (what the field's map makes of ``t.NAME``, ``t2.NAME`` and so on) and
    ``lost.NAME`` (bool: the map lacks the value), and ``known.NAME`` (bool: it has the value)."""
    for field in fields:
        used = field.lookup
        assert used is not None
        parts = [
            one_array(keys.column(f"{prefix}.{field.name}"), pa.string())
            for prefix in part_prefixes(field, "t")
        ]
        lookup = lookups[used.table] if isinstance(used, TableLookup) else _of_pairs(used.pairs)
        found, lost, known = lookup.find(parts, field.blank_is_missing)
        keys = keys.append_column(f"m.{field.name}", _filled(found, lost, parts, used.unmapped))
        keys = keys.append_column(f"lost.{field.name}", lost)
        keys = keys.append_column(f"known.{field.name}", known)
    return keys


@lru_cache(maxsize=16)
def _of_pairs(pairs: Pairs) -> Lookup:
    """The lookup of a map whose values stand in the specification."""
    keys, values = (pa.array(column, pa.string()) for column in zip(*pairs, strict=True))
    return Lookup(LookupTable.build("values", [keys], values))


def _filled(
    found: pa.Array, lost: pa.Array, parts: Sequence[pa.Array], unmapped: Unmapped
) -> pa.Array:
    """The values with what stands for those that the map lacks."""
    if unmapped.action is UnmappedAction.KEEP:
        return pc.if_else(lost, parts[0], found)
    if unmapped.action is UnmappedAction.DEFAULT:
        return pc.if_else(lost, pa.scalar(unmapped.default, pa.string()), found)
    return found
