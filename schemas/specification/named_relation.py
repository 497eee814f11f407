"""The relations that a load reads (``from``), and how their rows are spread over candidates."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, field_validator, model_validator

from schemas.specification.model import Part
from schemas.specification.policies import OnEmpty

POSITION = "_position"
"""The column of a candidate's position in its row, unless it has a name."""


class Unpivot(Part):
    """Columns of one row (``dx1`` to ``dx10``) that become candidates of their own.

    ``columns`` are patterns with ``{n}``, or lists of names; those of several stay together. The
    first of them says which places have a candidate: those that aren't blank.
    """

    columns: dict[str, str | list[str]]
    position: str = POSITION
    empty: OnEmpty = OnEmpty.SKIP

    @field_validator("columns")
    @classmethod
    def _check_patterns(cls, value: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
        if not value:
            raise ValueError("no column is named here")
        for pattern in value.values():
            if isinstance(pattern, str) and pattern.count("{n}") != 1:
                raise ValueError("a pattern of columns has {n} once, where their numbers stand")
            if isinstance(pattern, list) and not pattern:
                raise ValueError("no column is named here")
        return value


class Split(Part):
    """Parts of one cell (``253.2, E23.0``) that become candidates of their own."""

    column: str
    into: str
    by: str = ","
    position: str = POSITION
    empty: OnEmpty = OnEmpty.SKIP

    @field_validator("by")
    @classmethod
    def _check_separator(cls, value: str) -> str:
        if not value:
            raise ValueError("text is needed that stands between the parts")
        return value


class NamedRelation(Part):
    """A relation that a load reads: a table, a query or files, of the source or a named source."""

    table: str | None = None
    query: str | None = None
    file: str | None = None
    source: str | None = None
    unpivot: Unpivot | None = None
    split: Split | None = None

    @model_validator(mode="after")
    def _one_of(self) -> NamedRelation:
        kinds = [kind for kind in ("table", "query", "file") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError("a relation is one of 'table', 'query' and 'file'")
        if self.unpivot is not None and self.split is not None:
            raise ValueError("a relation has 'unpivot' or 'split', not both")
        return self

    @property
    def spread(self) -> Unpivot | Split | None:
        """How one row becomes several candidates; None if each row is one."""
        return self.unpivot or self.split


def _read_relations(value: object) -> object:
    entries = value if isinstance(value, list) else [value]
    return [{"table": entry} if isinstance(entry, str) else entry for entry in entries]


NamedRelations = Annotated[list[NamedRelation], BeforeValidator(_read_relations)]
"""The value of ``from``: one relation or several, each also as the mere name of a table."""
