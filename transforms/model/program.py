"""What a load does to its rows, compiled: SQL bound to columns, types settled, nothing to look up.

A program is plain data. It is made once, when specification and catalogues have been
compared, and pickled to the workers.

Columns of a batch by name: ``src.NAME`` as read from the source, ``out.NAME`` a target
field, ``raw.NAME`` a code before its translation or a reference before its look-up,
``take.NAME`` a column of the parent row, ``bad.NAME`` (bool) whether the field has failed
(one that is only missing hasn't: it is NULL for whoever reads it), ``lost.COLUMN`` (bool, only
where there are any) the rows in which the value of a column is lost (``lost_values``),
``_skip`` (string) the name of the skip that applies, ``_ordinal`` (int32) the candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from schemas.catalog import Relation
from schemas.column_types import ColumnType
from schemas.conversions import AS_WRITTEN, Reading
from transforms.model.bound_expression import BoundExpression
from transforms.model.row_conditions import (
    DuplicatesProgram,
    GroupRuleProgram,
    RuleProgram,
    SkipProgram,
)
from transforms.model.slices import PartitionBounds
from transforms.model.spread_program import SpreadProgram

SKIP = "_skip"


class FieldStage(IntEnum):
    """When a field is computed: each stage sees the fields of the stages before."""

    MAP = 0
    TRANSLATE = 1
    DERIVE = 2
    AFTER_REFERENCES = 3


MOST_IN_SQL = 100
"""Pairs of a map up to which they become SQL."""


@dataclass(frozen=True)
class ValueMap:
    """Pairs of texts, or the name of the ``lookup`` table that has them; ``unmapped`` is
    reject, keep, set_null or default."""

    pairs: tuple[tuple[str, str | None], ...]
    unmapped: str
    default: str | None = None
    lookup: str | None = None

    @property
    def is_looked_up(self) -> bool:
        """Whether its values are looked up in Arrow, and not written into SQL.

        DuckDB compares a value with one WHEN after the other, and can't be interrupted while it
        plans a query of hundreds of thousands.
        """
        return self.lookup is not None or len(self.pairs) > MOST_IN_SQL


@dataclass(frozen=True)
class Reference:
    """A field's reference: which loads wrote the parents, and what to do without one.

    ``by_source_key``: the value is the parent's source key, and the target's key is looked
    up; otherwise the value is itself the parent's target key. ``shares_source_keys``: several
    candidates can have one source key, as where two systems are united. ``take`` are alias,
    parent column and its type, ``placeholder`` columns and values (texts) of a placeholder.
    """

    parents: tuple[str, ...]
    table: Relation
    column: str
    by_source_key: bool
    shares_source_keys: bool
    on_missing: str
    on_skipped: str
    deferred: bool
    take: tuple[tuple[str, str, ColumnType], ...] = ()
    placeholder: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class FieldProgram:
    """A field's steps. ``value`` yields a value of type ``given``; the field is a ``target``.

    ``key_parts`` are the further parts of a key that is looked up, text like the first.
    ``declared`` is the type that the specification names, where it isn't the target's own.
    ``transforms`` are SQL templates over ``{}`` or ``module:function``. ``into`` are target
    column, attribute and column type of what a map says of itself, ``into_required`` those of
    the columns that must not be NULL. ``coded_in`` and ``coded_on`` give the revision of the
    ICD (9, 10; 0 for another system, NULL for none) that a row names and that was in force at
    its date. ``reading`` is how text becomes a value; ``nulls_errors``: what can't be one is NULL,
    with a warning.
    """

    name: str
    stage: FieldStage
    value: BoundExpression
    given: ColumnType
    target: ColumnType
    transforms: tuple[str, ...] = ()
    blank_is_missing: bool = True
    values: ValueMap | None = None
    key_parts: tuple[BoundExpression, ...] = ()
    gem: str | None = None
    coded_in: BoundExpression | None = None
    coded_on: BoundExpression | None = None
    into: tuple[tuple[str, str, ColumnType], ...] = ()
    into_required: tuple[str, ...] = ()
    declared: ColumnType | None = None
    reading: Reading = AS_WRITTEN
    default: str | None = None
    required: bool = False
    required_rule: str = ""
    nulls_errors: bool = False
    reference: Reference | None = None

    @property
    def lookup(self) -> str | None:
        """The lookup table that the value goes through."""
        return None if self.values is None else self.values.lookup

    @property
    def is_looked_up(self) -> bool:
        """Whether its map is asked in Arrow, between two queries."""
        return self.values is not None and self.values.is_looked_up

    @property
    def is_coded_by_row(self) -> bool:
        """Whether each row may be of another code system."""
        return self.coded_in is not None or self.coded_on is not None

    @property
    def reads(self) -> tuple[BoundExpression, ...]:
        """All that the field is computed from."""
        return tuple(e for e in (self.value, self.coded_in, self.coded_on) if e is not None)

    @property
    def is_raw(self) -> bool:
        """Whether a later step (translation, reference by source key) makes the value."""
        return self.gem is not None or (self.reference is not None and self.reference.by_source_key)


@dataclass(frozen=True)
class GeneratedKey:
    """A key column that the migration makes: ``sequence`` or ``uuid5``."""

    name: str
    kind: str
    target: ColumnType
    sequence: str | None = None


@dataclass(frozen=True)
class LoadProgram:
    """Everything a worker needs to know of one load.

    ``columns`` are the source columns that are used, ``source_key`` those of them that
    identify a candidate (none: ``src.ctid``, or partition and position); where ``spread`` makes
    several of a row the last of them is its position. ``with_keys``: source
    and target keys are stored for children; ``with_skips``: keys of skipped rows are.
    ``referenced``: other rows ask what became of this load's rows. ``lookups`` are the names
    and labels of the lookup tables that its fields use: what they held decides its rows.
    """

    name: str
    source: str
    relations: tuple[Relation, ...]
    columns: tuple[str, ...]
    with_ctid: bool
    source_key: tuple[str, ...]
    partition_by: tuple[str, ...] | None
    table: Relation
    key: tuple[str, ...]
    write: str
    fields: tuple[FieldProgram, ...]
    generated: GeneratedKey | None
    skips: tuple[SkipProgram, ...]
    rules: tuple[RuleProgram, ...]
    group_rules: tuple[GroupRuleProgram, ...]
    duplicates: DuplicatesProgram
    finds_duplicates: bool
    with_keys: bool
    with_skips: bool
    referenced: bool
    python_path: str
    spread: SpreadProgram | None = None
    lookups: tuple[tuple[str, str], ...] = ()

    @property
    def compares_rows(self) -> bool:
        """Whether its rows are to be compared with each other before any is written."""
        return self.finds_duplicates or bool(self.group_rules)

    @property
    def source_name(self) -> str:
        """How errors call the source: the table's name, or ``query``."""
        return self.relations[0].name or "query"

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns that are read from the source itself."""
        return self.stored(self.columns)

    def stored(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Those of the source itself that ``columns`` and the source key come from."""
        if self.spread is None:
            return tuple(columns)
        wanted = dict.fromkeys([*columns, *self.row_key, *self.spread.places])
        return tuple(name for name in wanted if name not in self.spread.columns)

    def narrowed(self, bounds: PartitionBounds) -> PartitionBounds:
        """The bounds for source rows, of which each may become several candidates."""
        width = 1 if self.spread is None else max(1, len(self.spread.numbers))
        return PartitionBounds(max(1, bounds.rows // width), max(1, bounds.bytes // width))

    @property
    def of_rows(self) -> LoadProgram:
        """The program of the rows themselves, which aren't spread."""
        return replace(self, columns=self.stored_columns, source_key=self.row_key, spread=None)

    @property
    def row_key(self) -> tuple[str, ...]:
        """What of ``source_key`` identifies the row itself."""
        return self.source_key if self.spread is None else self.source_key[:-1]

    def sorts(self, relation: Relation) -> bool:
        """Whether the rows of its partitions must be sorted to have the same places every time."""
        return self.partition_by is not None or not relation.has_physical_ranges

    def column_types(self) -> dict[str, ColumnType]:
        """The types of the source columns that are read."""
        types: dict[str, ColumnType] = {}
        spread = {} if self.spread is None else self.spread.columns
        for name in self.columns:
            column = self.relations[0].column(name)
            assert name in spread or column is not None
            types[name] = spread[name] if column is None or name in spread else column.type
        return types

    def target_columns(self) -> dict[str, ColumnType]:
        """The target columns that are written, with their types, in order."""
        types = {f.name: f.target for f in self.fields}
        for field in self.fields:
            types |= {column: kind for column, _, kind in field.into}
        if self.generated is not None:
            types[self.generated.name] = self.generated.target
        return types

    def stage(self, stage: FieldStage) -> tuple[FieldProgram, ...]:
        """The fields that are computed in a stage."""
        return tuple(f for f in self.fields if f.stage is stage)
