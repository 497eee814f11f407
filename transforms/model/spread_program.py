"""How one source row becomes several candidates, compiled."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.column_types import INTEGER, ColumnType


@dataclass(frozen=True)
class SpreadProgram:
    """How one source row becomes several candidates, or none.

    ``groups`` are new columns: name, type, and the source columns that its values come from, one
    for each of ``numbers`` (None: there is none). With a ``separator`` there is one group of
    one column, whose parts are the candidates, numbered from 1. ``position`` is the column of
    the number (int4). ``rejects_empty``: a row without any candidate is rejected, not left out.
    """

    position: str
    groups: tuple[tuple[str, ColumnType, tuple[str | None, ...]], ...]
    numbers: tuple[int, ...]
    rejects_empty: bool
    separator: str | None = None

    @property
    def columns(self) -> dict[str, ColumnType]:
        """The new columns."""
        return {name: kind for name, kind, _ in self.groups} | {self.position: INTEGER}

    @property
    def places(self) -> tuple[str, ...]:
        """The source columns that the new ones come from."""
        return tuple(dict.fromkeys(c for _, _, of in self.groups for c in of if c is not None))
