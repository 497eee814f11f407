"""The map of a field: a table of values, or a GEM that translates codes.

``FieldMap`` is the union. A ``ValueMap`` gives one text for a text; a ``CodeTranslation`` can give
several, and with them further rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.column_types import ColumnType
from schemas.specification.policies import UnmappedAction
from transforms.model.bound_expression import BoundExpression

MOST_IN_SQL = 100
"""Pairs of a map up to which they become SQL.

DuckDB compares a value with one WHEN after the other, and can't be interrupted while it plans a
query of hundreds of thousands.
"""


@dataclass(frozen=True)
class Unmapped:
    """The policy for values that a map lacks; ``default`` is the text that DEFAULT writes."""

    action: UnmappedAction
    default: str | None = None


@dataclass(frozen=True)
class MapAttribute:
    """A target column that gets an ``attribute`` of the map, such as its version."""

    column: str
    attribute: str
    type: ColumnType
    required: bool


Pairs = tuple[tuple[str, str | None], ...]
"""Each text with the one that replaces it; None for NULL."""


@dataclass(frozen=True)
class PairsInSql:
    """Pairs of the specification, few enough to be a CASE of the field's query."""

    pairs: Pairs
    unmapped: Unmapped


@dataclass(frozen=True)
class PairsLookup:
    """Pairs of the specification that are looked up in Arrow."""

    pairs: Pairs
    unmapped: Unmapped


@dataclass(frozen=True)
class TableLookup:
    """The lookup table ``table``.

    The field's value is the first part of its key; ``key_parts`` give the others, as text unless
    a Python function transforms them first.
    """

    table: str
    unmapped: Unmapped
    key_parts: tuple[BoundExpression, ...] = ()
    attributes: tuple[MapAttribute, ...] = ()


@dataclass(frozen=True)
class CodeTranslation:
    """The GEM map ``gem``.

    ``coded_in`` and ``coded_on`` give the revision of the ICD (9, 10; 0 for another system, NULL
    for none) that a row names, and the one that was in force at its date.
    """

    gem: str
    coded_in: BoundExpression | None = None
    coded_on: BoundExpression | None = None
    attributes: tuple[MapAttribute, ...] = ()

    @property
    def revisions(self) -> tuple[BoundExpression, ...]:
        """The expressions that give the revision of each row."""
        return tuple(e for e in (self.coded_in, self.coded_on) if e is not None)


LookedUpMap = PairsLookup | TableLookup
ValueMap = PairsInSql | LookedUpMap
FieldMap = ValueMap | CodeTranslation
