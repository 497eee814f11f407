"""The parents of references as they stand in the target, held in memory while they fit."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import ColumnType
from transforms.keys.parent_keys import KeyMap, KeySet
from transforms.keys.similar_keys import SimilarKeys, no_differences
from transforms.ledger.parent_fates import KeyColumn
from transforms.ledger.worker_ledger import lend_ledger
from transforms.model.parent_reference import Reference
from transforms.model.run_context import RunContext
from transforms.postgres.connection_pool import target_pool
from transforms.postgres.connections import add_session_name
from transforms.references.parent_lookup import (
    Bound,
    KeyKind,
    ask_target,
    comparable,
    compares_in_memory,
    fetch_parent_columns,
    read_key_pairs,
    read_keys,
)

Index = KeySet | KeyMap | SimilarKeys


class ParentIndexes:
    """The indexes of one process for one level of loads; threads share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[object, Index | None] = {}

    @property
    def nbytes(self) -> int:
        return sum(index.nbytes for index in self._known.values() if index is not None)

    def get(self, key: object, build: Callable[[], Index | None]) -> Index | None:
        """The index of that key, built by the first who asks; None where it doesn't fit."""
        with self._lock:
            if key not in self._known:
                self._known[key] = build()
            return self._known[key]


_shared: dict[tuple[str, int], ParentIndexes] = {}
_shared_lock = threading.Lock()


def shared_indexes(context: RunContext, level: int) -> ParentIndexes:
    """The indexes of this process for one level of one run; those of others are dropped.

    Pools of workers outlive jobs, so what was held for another run must not be found.
    """
    wanted = (context.token, level)
    with _shared_lock:
        if wanted not in _shared:
            _shared.clear()
            _shared[wanted] = ParentIndexes()
        return _shared[wanted]


class TargetParents:
    """Answers about parents, from indexes where they fit into memory, else from the target.

    ``bound`` says what fits; with 0 bytes, for a single row, the target is always asked.
    """

    def __init__(
        self, context: RunContext, indexes: ParentIndexes, bound: Bound | None = None
    ) -> None:
        self._context = context
        self._indexes = indexes
        self._bound = bound or Bound()

    def contains(self, reference: Reference, values: pa.Array, child: ColumnType) -> pa.Array:
        column = reference.table.column(reference.column)
        assert column is not None
        if compares_in_memory(column, child):
            index = self._held_keys(reference)
            if isinstance(index, KeySet):
                return index.contains(comparable(values, column.type, child))
        with target_pool(self._context).lent() as target:
            return ask_target(target, reference.table, column.name, values)

    def target_keys(self, reference: Reference, source_keys: pa.Array) -> pa.Array:
        index = self._held_source_keys(reference)
        if isinstance(index, KeyMap):
            return index.lookup(source_keys)
        with lend_ledger(self._context) as ledger:
            keys, _ = ledger.parent_keys.look_up(
                reference.parents, reference.shares_source_keys, source_keys
            )
        return keys

    def ambiguous(self, reference: Reference, source_keys: pa.Array) -> pa.Array:
        with lend_ledger(self._context) as ledger:
            keys, several = ledger.parent_keys.look_up_written(reference.parents, source_keys)
        return pc.or_(pc.is_valid(keys), pc.fill_null(several, False))

    def skipped(self, reference: Reference, keys: pa.Array) -> pa.Array:
        with lend_ledger(self._context) as ledger:
            return ledger.parent_fates.find_skipped(reference.parents, _by(reference), keys)

    def root_causes(self, reference: Reference, keys: pa.Array) -> pa.Array:
        # Other loads into the table have source keys of their own.
        loads = reference.parents if reference.by_source_key else None
        with lend_ledger(self._context) as ledger:
            return ledger.parent_fates.find_causes(
                str(reference.table), _by(reference), keys, loads
            )

    def differences(self, reference: Reference, keys: pa.Array) -> pa.Array:
        """As ``Parents`` says; only where the keys are held in memory."""
        column = reference.table.column(reference.column)
        assert column is not None
        held: Index | None = None
        if reference.by_source_key:
            held = self._held_source_keys(reference)
        elif column.type.is_textual and compares_in_memory(column, column.type):
            held = self._held_keys(reference)
        texts = held.texts if isinstance(held, KeySet | KeyMap) else None
        if texts is None:
            return no_differences(keys)
        name = ("similar", reference.parents, str(reference.table), reference.column)
        index = self._indexes.get(name, lambda: self._similar_keys(texts))
        return index.differences(keys) if isinstance(index, SimilarKeys) else no_differences(keys)

    def columns(self, reference: Reference, values: pa.Array) -> pa.Table:
        take = [column for _, column, _ in reference.take]
        with target_pool(self._context).lent() as target:
            return fetch_parent_columns(target, reference.table, [reference.column], [values], take)

    def _held_keys(self, reference: Reference) -> Index | None:
        name = (str(reference.table), reference.column)
        return self._indexes.get(name, lambda: self._key_set(reference))

    def _held_source_keys(self, reference: Reference) -> Index | None:
        return self._indexes.get(reference.parents, lambda: self._key_map(reference))

    def _similar_keys(self, texts: pa.Array) -> SimilarKeys | None:
        width = texts.nbytes // max(1, len(texts))
        if not self._bound.fits(len(texts), "generated", width, self._indexes.nbytes):
            return None
        return SimilarKeys.build(texts)

    def _key_set(self, reference: Reference) -> KeySet | None:
        column = reference.table.column(reference.column)
        assert column is not None
        kind: KeyKind = "text" if column.type.is_textual or not column.type.is_native else "number"
        if not self._fits(reference.table.sql.as_string(), kind):
            return None
        with target_pool(self._context).place():
            keys = read_keys(self._named_target, reference.table, column.name)
        return KeySet.build(keys)

    def _key_map(self, reference: Reference) -> KeyMap | None:
        with lend_ledger(self._context) as ledger:
            table = ledger.parent_keys.table_name
            query = ledger.parent_keys.compose_pairs(
                reference.parents, reference.shares_source_keys
            )
        if not self._fits(table, "generated"):
            return None
        with target_pool(self._context).place():
            keys = read_key_pairs(self._named_target, query)
        return KeyMap.build(*keys)

    @property
    def _named_target(self) -> str:
        return add_session_name(self._context.target, self._context.session_name)

    def _fits(self, table: str, kind: KeyKind) -> bool:
        """By the size of the table on disk: statistics are missing right after a load."""
        with target_pool(self._context).lent() as target:
            row = target.execute("SELECT pg_relation_size(%s::regclass) / 40", [table]).fetchone()
        assert row is not None
        return self._bound.fits(int(row[0]), kind, held=self._indexes.nbytes)


def _by(reference: Reference) -> KeyColumn:
    return "source_key" if reference.by_source_key else "target_key"
