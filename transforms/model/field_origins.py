"""The first step of a field: where its value comes from.

``FieldOrigin`` is the union; each member has ``value``, the SQL that gives the value, and ``type``,
the type of that value.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.column_types import TEXT, ColumnType
from schemas.sql.expressions import literal, quote
from transforms.model.bound_expression import BoundExpression

SOURCE_KEY = "_source_key"
"""The column of a batch with the source key of each candidate, as text."""


@dataclass(frozen=True)
class SourceColumn:
    """The column ``name`` of the source, as it was read."""

    name: str
    type: ColumnType

    @property
    def column(self) -> str:
        """The column of a batch."""
        return f"src.{self.name}"

    @property
    def value(self) -> BoundExpression:
        return BoundExpression(quote(self.column))


@dataclass(frozen=True)
class ConstantText:
    """A text of the specification; None for NULL."""

    text: str | None

    @property
    def value(self) -> BoundExpression:
        return BoundExpression("NULL::VARCHAR" if self.text is None else literal(self.text))

    @property
    def type(self) -> ColumnType:
        return TEXT


@dataclass(frozen=True)
class SourceKeyText:
    """The source key of the candidate."""

    @property
    def value(self) -> BoundExpression:
        return BoundExpression(quote(SOURCE_KEY))

    @property
    def type(self) -> ColumnType:
        return TEXT


@dataclass(frozen=True)
class ComputedValue:
    """SQL: an expression of the specification, a system name, or columns joined to a key."""

    value: BoundExpression
    type: ColumnType


FieldOrigin = SourceColumn | ConstantText | SourceKeyText | ComputedValue


def unchanged_column(origin: FieldOrigin) -> str | None:
    """The name of the source column whose values the origin gives as they are.

    That can also be an expression of nothing else; None where values are computed.
    """
    if isinstance(origin, SourceColumn):
        return origin.name
    sql = origin.value.sql
    is_column = isinstance(origin, ComputedValue) and sql.startswith('"src.') and sql[-1] == '"'
    return sql.removeprefix('"src.').removesuffix('"') if is_column else None
