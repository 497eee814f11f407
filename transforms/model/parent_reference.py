"""A reference of a field to rows that other loads, or its own, have written."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.catalog import Relation
from schemas.column_types import ColumnType
from schemas.specification.policies import OnMissing, OnSkipped


@dataclass(frozen=True)
class Reference:
    """A field's reference: the loads that wrote the parents, and the policy for rows without one.

    Attributes:
        parents: the loads.
        table: their target table.
        column: the column of ``table`` that the field refers to.
        by_source_key: the field's value is the parent's source key, and the target key is looked
            up; otherwise the value is itself the parent's target key.
        shares_source_keys: several candidates can have one source key, as where two systems are
            united.
        on_missing: the policy for a row without a parent in the target.
        on_skipped: the policy for a row whose parent was skipped.
        deferred: it is checked when all rows of the load are committed.
        take: alias, parent column and its type of each column taken from the parent.
        placeholder: columns and values (texts) of a placeholder.
    """

    parents: tuple[str, ...]
    table: Relation
    column: str
    by_source_key: bool
    shares_source_keys: bool
    on_missing: OnMissing
    on_skipped: OnSkipped
    deferred: bool
    take: tuple[tuple[str, str, ColumnType], ...] = ()
    placeholder: tuple[tuple[str, str], ...] = ()
