"""The parents of references as the target will have them, by the predictions of their loads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import TEXT, ColumnType
from transforms.keys.parent_keys import KeyMap, KeySet
from transforms.keys.similar_keys import SimilarKeys, no_differences
from transforms.model.parent_reference import Reference
from transforms.prediction.predicted_references import ACCEPTED, REJECTED, SKIPPED
from transforms.references.check import Parents, key_texts, typed_keys
from transforms.references.parent_lookup import (
    ask_target,
    comparable,
    compares_in_memory,
    fetch_parent_columns,
)
from transforms.sql.duckdb_engine import one_array

_SOME_ID = "0"
"""Stands for the id of a violation that isn't recorded."""


class PredictedParents:
    """Answers about parents all of whose candidates were predicted.

    Keys that are made at write time are numbered instead, so that a child finds its parent.

    Args:
        loads: the ``parents`` of their predictions, by load.
        target: a connection to the target, which is asked for keys that none of them has: a row
            from before the job may have them.
    """

    def __init__(self, loads: Mapping[str, pa.Table], target: psycopg.Connection[Any]) -> None:
        self._loads = loads
        self._target = target
        self._rows_by_parents: dict[tuple[str, ...], _ParentRows] = {}

    def knows(self, reference: Reference, child: ColumnType) -> bool:
        """Whether it can answer about a reference whose values are of type ``child``."""
        column = reference.table.column(reference.column)
        assert column is not None
        compared = reference.by_source_key or compares_in_memory(column, child)
        return compared and self.has(reference)

    def has(self, reference: Reference) -> bool:
        """Whether all candidates of the parents were predicted."""
        return all(parent in self._loads for parent in reference.parents)

    def contains(self, reference: Reference, values: pa.Array, child: ColumnType) -> pa.Array:
        rows = self._rows(reference)
        accepted = rows.accepted_keys.contains(comparable(values, rows.kind, child))
        absent = pc.if_else(accepted, pa.scalar(None, values.type), values)
        if absent.null_count == len(absent):
            return accepted
        before = ask_target(self._target, reference.table, reference.column, absent)
        return pc.or_(accepted, pc.fill_null(before, False))

    def target_keys(self, reference: Reference, source_keys: pa.Array) -> pa.Array:
        keys = self._rows(reference).target_keys.lookup(source_keys)
        if not reference.shares_source_keys:
            return keys
        rejected = self._rows(reference).having(REJECTED, True).contains(source_keys)
        return pc.if_else(rejected, pa.scalar(None, keys.type), keys)

    def ambiguous(self, reference: Reference, source_keys: pa.Array) -> pa.Array:
        accepted = self._rows(reference).having(ACCEPTED, True).contains(source_keys)
        return pc.fill_null(accepted, False)

    def skipped(self, reference: Reference, keys: pa.Array) -> pa.Array:
        return self._rows(reference).having(SKIPPED, reference.by_source_key).contains(keys)

    def root_causes(self, reference: Reference, keys: pa.Array) -> pa.Array:
        rejected = self._rows(reference).having(REJECTED, reference.by_source_key).contains(keys)
        return pc.if_else(rejected, _SOME_ID, pa.scalar(None, pa.string()))

    def differences(self, reference: Reference, keys: pa.Array) -> pa.Array:
        rows = self._rows(reference)
        if not reference.by_source_key and not rows.kind.is_textual:
            return no_differences(keys)
        index = rows.similar_source_keys if reference.by_source_key else rows.similar_keys
        return index.differences(keys)

    def columns(self, reference: Reference, values: pa.Array) -> pa.Table:
        """The columns that the reference takes; NULL where the parent's load doesn't fill them."""
        rows = self._rows(reference)
        keys = comparable(rows.keys(ACCEPTED), rows.kind, rows.kind)
        places = pc.index_in(comparable(values, rows.kind, rows.kind), value_set=keys)
        absent = pc.and_(pc.is_null(places), pc.is_valid(values))
        names = [name for _, name, _ in reference.take]
        before = None
        if pc.any(absent).as_py():
            asked = pc.if_else(absent, values, pa.scalar(None, values.type))
            before = fetch_parent_columns(
                self._target, reference.table, [reference.column], [asked], names
            )
        taken = {}
        for _, name, kind in reference.take:
            column = rows.column(name, kind, ACCEPTED).take(places.cast(pa.int64()))
            if before is not None:
                column = pc.if_else(absent, one_array(before.column(name)), column)
            taken[name] = column
        return pa.table(taken)

    def _rows(self, reference: Reference) -> _ParentRows:
        if reference.parents not in self._rows_by_parents:
            self._rows_by_parents[reference.parents] = _ParentRows(
                pa.concat_tables(
                    [self._loads[name] for name in reference.parents], promote_options="default"
                ),
                reference,
            )
        return self._rows_by_parents[reference.parents]


class ForeseenParents:
    """Answers from the target where the parents' loads are complete, else from predictions."""

    def __init__(
        self, target: Parents, predicted: PredictedParents, loaded: Collection[str]
    ) -> None:
        self._target = target
        self._predicted = predicted
        self._loaded = frozenset(loaded)

    def knows(self, reference: Reference, child: ColumnType) -> bool:
        """Whether it can answer about a reference whose values are of type ``child``."""
        return self._are_loaded(reference) or self._predicted.knows(reference, child)

    def has(self, reference: Reference) -> bool:
        """Whether all rows of the parents are in the target or were predicted."""
        return self._are_loaded(reference) or self._predicted.has(reference)

    def contains(self, reference: Reference, values: pa.Array, child: ColumnType) -> pa.Array:
        return self._of(reference).contains(reference, values, child)

    def target_keys(self, reference: Reference, source_keys: pa.Array) -> pa.Array:
        return self._of(reference).target_keys(reference, source_keys)

    def ambiguous(self, reference: Reference, source_keys: pa.Array) -> pa.Array:
        return self._of(reference).ambiguous(reference, source_keys)

    def skipped(self, reference: Reference, keys: pa.Array) -> pa.Array:
        return self._of(reference).skipped(reference, keys)

    def root_causes(self, reference: Reference, keys: pa.Array) -> pa.Array:
        return self._of(reference).root_causes(reference, keys)

    def differences(self, reference: Reference, keys: pa.Array) -> pa.Array:
        return self._of(reference).differences(reference, keys)

    def columns(self, reference: Reference, values: pa.Array) -> pa.Table:
        return self._of(reference).columns(reference, values)

    def _are_loaded(self, reference: Reference) -> bool:
        return self._loaded.issuperset(reference.parents)

    def _of(self, reference: Reference) -> Parents:
        return self._target if self._are_loaded(reference) else self._predicted


class _ParentRows:
    """The candidates of the loads behind a reference."""

    def __init__(self, table: pa.Table, reference: Reference) -> None:
        self._table = table
        column = reference.table.column(reference.column)
        assert column is not None
        self.kind = column.type
        self._key = f"out.{column.name}"
        self._having: dict[tuple[int, bool], KeySet] = {}

    @cached_property
    def _keys(self) -> pa.Array:
        if self._key in self._table.schema.names:
            return one_array(self._table.column(self._key), self.kind.arrow)
        made = pa.array(np.arange(1, len(self._table) + 1)).cast(pa.string())
        return typed_keys(made, self.kind)

    @property
    def _source_keys(self) -> pa.Array:
        return one_array(self._table.column("source_key"), TEXT.arrow)

    def keys(self, verdict: int) -> pa.Array:
        return self._keys.filter(self._are(verdict))

    def column(self, name: str, kind: ColumnType, verdict: int) -> pa.Array:
        if f"out.{name}" == self._key:
            return self.keys(verdict)
        mask = self._are(verdict)
        if f"out.{name}" not in self._table.schema.names:
            return pa.nulls(mask.true_count, kind.arrow)
        return one_array(self._table.column(f"out.{name}"), kind.arrow).filter(mask)

    @cached_property
    def accepted_keys(self) -> KeySet:
        return KeySet.build(comparable(self.keys(ACCEPTED), self.kind, self.kind))

    @cached_property
    def target_keys(self) -> KeyMap:
        sources = self._source_keys.filter(self._are(ACCEPTED))
        return KeyMap.build(sources, key_texts(self.keys(ACCEPTED), self.kind))

    @cached_property
    def similar_keys(self) -> SimilarKeys:
        return SimilarKeys.build(comparable(self.keys(ACCEPTED), self.kind, self.kind))

    @cached_property
    def similar_source_keys(self) -> SimilarKeys:
        return SimilarKeys.build(self._source_keys.filter(self._are(ACCEPTED)))

    def having(self, verdict: int, by_source_key: bool) -> KeySet:
        """The keys, as text, of the candidates with that verdict."""
        keys_having = self._having.get((verdict, by_source_key))
        if keys_having is None:
            keys = (
                self._source_keys.filter(self._are(verdict))
                if by_source_key
                else key_texts(self.keys(verdict), self.kind)
            )
            keys_having = self._having[verdict, by_source_key] = KeySet.build(keys)
        return keys_having

    def _are(self, verdict: int) -> pa.Array:
        return one_array(pc.equal(self._table.column("verdict"), pa.scalar(verdict, pa.int8())))
