"""The facts about a load while it is compiled, and its problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from schemas.catalog import Relation
from schemas.code_maps.lookup_table import LookupTable
from schemas.column_types import ColumnType
from schemas.errors import ErrorCode, Problem
from schemas.specification.load_order import parents_of
from schemas.specification.root import Specification
from schemas.specification.table import Load
from schemas.wider_types import widest_type


@dataclass(frozen=True)
class LoadCatalog:
    """The relations of one load, as the databases describe them: those read, and the target."""

    source: str
    relations: tuple[Relation, ...]
    table: Relation


class FieldProblem(Exception):
    """A field that can't be compiled: code, what is wrong, where below the field, what to do.

    ``others`` are further reasons.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *below: str | int,
        remedy: str = "",
        others: tuple[FieldProblem, ...] = (),
    ) -> None:
        self.code, self.message, self.below, self.remedy = code, message, below, remedy
        self.others = others
        super().__init__(message)


@dataclass(frozen=True)
class LoadFacts:
    """The load ``name`` in its specification, the catalogues of all loads, and its problems.

    ``lookups`` are the lookup tables by name, without those that can't be read.
    """

    specification: Specification
    name: str
    catalogs: Mapping[str, LoadCatalog]
    problems: list[Problem] = field(default_factory=list)
    lookups: Mapping[str, LookupTable] = field(default_factory=dict)

    @property
    def load(self) -> Load:
        return self.specification.tables[self.name]

    @property
    def catalog(self) -> LoadCatalog:
        return self.catalogs[self.name]

    @property
    def table(self) -> Relation:
        return self.catalog.table

    @property
    def blank_is_missing(self) -> bool:
        """Whether blank text of the source counts as missing."""
        return self.specification.blank_is_missing(self.load)

    def parent_table(self, reference: str) -> Relation | None:
        """The target table of the loads that a ``ref`` means, as far as there is one."""
        parents = parents_of(self.specification, reference)
        tables = [self.catalogs[p].table for p in parents if p in self.catalogs]
        return tables[0] if tables else None

    def problem(
        self,
        message: str,
        *below: str | int,
        code: ErrorCode = ErrorCode.TRANS_004,
        remedy: str = "",
    ) -> None:
        """Notes a problem at a place below the load."""
        self.problems.append(self.load.problem(message, *below, code=code, remedy=remedy))

    def add(self, problem: FieldProblem, *place: str | int) -> None:
        """Adds a field's problem at a place below the load."""
        below = (*place, *problem.below)
        self.problem(problem.message, *below, code=problem.code, remedy=problem.remedy)
        for other in problem.others:
            self.add(other, *place)


def united_relations(relations: Sequence[Relation]) -> tuple[Relation, ...]:
    """The relations of a load with one type for each column that they share.

    It is the one that holds the values of all, so that every value is held against the target's
    length and precision. Types of which none does stay as they are (``check_relations``).
    """
    if len(relations) == 1:
        return tuple(relations)
    types: dict[str, list[ColumnType]] = {}
    for relation in relations:
        for column in relation.columns:
            types.setdefault(column.name, []).append(column.type)
    shared = {name: widest_type(kinds) for name, kinds in types.items()}
    return tuple(
        replace(
            relation,
            columns=tuple(replace(c, type=shared[c.name] or c.type) for c in relation.columns),
            _by_name={},
        )
        for relation in relations
    )
