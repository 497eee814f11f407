"""The columns that one expression reads, and in which form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.column_types import ColumnType
from schemas.sql.cut_casts import cut_condition
from schemas.sql.number_precision import LOOSE_SCALE
from transforms.sql.exposure import (
    has_long_decimals,
    has_more_decimals,
    has_more_digits,
    inexact_condition,
    is_loose,
    visible_name,
)


@dataclass
class ReadColumns:
    """Collects columns while an expression is bound."""

    _visible: dict[str, ColumnType] = field(default_factory=dict)
    _written: dict[str, ColumnType] = field(default_factory=dict)
    _conditions: dict[str, None] = field(default_factory=dict)

    def read_visible(self, column: str, kind: ColumnType) -> str:
        """The column to read for a value of the type as expressions see it."""
        self._visible[column] = kind
        return visible_name(column, kind)

    def read_written(self, column: str, kind: ColumnType, decimals: int | None) -> str | None:
        """The column to read for the text that the server wrote; None: the visible form is right.

        A numeric without a scale has no other exact text. As a decimal with more decimals than the
        visible form has, it is read from its text as well, and has to fit.
        """
        if not is_loose(kind) or (decimals is not None and decimals <= LOOSE_SCALE):
            return None
        self._written[column] = kind
        if decimals is not None:
            self._conditions[has_more_decimals(column, decimals)] = None
        return column

    @property
    def types(self) -> dict[str, str]:
        """The DuckDB types of what is read."""
        visible = {visible_name(c, k): k.duckdb for c, k in self._visible.items()}
        return dict.fromkeys(self._written, "VARCHAR") | visible

    @property
    def loose(self) -> frozenset[str]:
        """What is seen with decimals that the server didn't write."""
        return frozenset(visible_name(c, k) for c, k in self._visible.items() if is_loose(k))

    @property
    def fields(self) -> tuple[str, ...]:
        """The target fields that are read."""
        columns = dict.fromkeys([*self._visible, *self._written])
        return tuple(c.removeprefix("out.") for c in columns if c.startswith("out."))

    @property
    def inexact(self) -> tuple[str, ...]:
        """Conditions under which a column has no exact value as the expression reads it."""
        seen = [inexact_condition(c, k) for c, k in self._visible.items()]
        return (*(condition for condition in seen if condition), *self._conditions)

    def parse_conditions(self, parsed: Iterable[str]) -> tuple[str, ...]:
        """Conditions under which numbers in JSON would be rounded."""
        names = set(parsed)
        seen = [c for c, k in self._visible.items() if c in names and k.duckdb == "VARCHAR"]
        return tuple(f"coalesce({has_long_decimals(column)}, false)" for column in seen)

    def cut_conditions(self, casts: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        """Conditions under which a cast to a date or time would leave out a part of its text."""
        return tuple(cut_condition(c, kind) for c, kind in sorted(casts) if c in self._visible)

    def overlong_conditions(self, divided: Iterable[str]) -> tuple[str, ...]:
        """Conditions under which numbers have more digits than a binary number."""
        names = set(divided)
        seen = [
            has_more_digits(c, k) for c, k in self._visible.items() if visible_name(c, k) in names
        ]
        return tuple(f"coalesce({condition}, false)" for condition in seen if condition)
