"""A load, compiled: SQL bound to columns, types settled, nothing left to look up.

A program is plain data. It is made once, when specification and catalogues have been
compared, and pickled to the workers.

Columns of a batch by name: ``src.NAME`` as read from the source, ``out.NAME`` a target
field, ``raw.NAME`` a code before its translation or a reference before its look-up,
``take.NAME`` a column of the parent row, ``bad.NAME`` (bool) whether the field has failed
(one that is only missing hasn't: expressions read it as NULL), ``lost.COLUMN`` (bool, only
where there are any) the rows in which the value of a column is lost (``lost_values``),
``_skip`` (string) the name of the skip that applies, ``_ordinal`` (int32) the candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.catalog import Relation
from schemas.column_types import ColumnType
from schemas.specification.policies import KeyGenerator, WriteMode
from transforms.model.field_program import FieldProgram, FieldStage
from transforms.model.row_conditions import (
    DuplicatesProgram,
    GroupRuleProgram,
    RuleProgram,
    SkipProgram,
)
from transforms.model.slices import PartitionBounds
from transforms.model.spread_program import SpreadProgram

SKIP = "_skip"


@dataclass(frozen=True)
class GeneratedKey:
    """A key column whose values the migration makes."""

    name: str
    kind: KeyGenerator
    target: ColumnType
    sequence: str | None = None


@dataclass(frozen=True)
class LoadProgram:
    """A load as workers execute it.

    Attributes:
        name: the load.
        source: its source, by name.
        relations: the source relations, with one type for each column that they share.
        columns: the source columns that are used.
        with_ctid: candidates are identified by ``src.ctid``.
        source_key: the columns that identify a candidate, the last of them its position where
            ``spread`` makes several of a row; without any, partition and position identify it.
        partition_by: the columns by which partitions are divided, where the load names them.
        table: the target table.
        key: its columns by which rows are the same.
        write: the policy for rows that the target has already.
        fields: the fields but for the generated key.
        generated: the key column whose values the migration makes.
        skips: the conditions under which rows are skipped, early ones first.
        rules: the rules on single rows.
        group_rules: the rules over several rows.
        duplicates: the policy for candidates with one key.
        finds_duplicates: two candidates can have one key.
        with_keys: source and target keys are stored for children.
        with_skips: the keys of skipped rows are stored.
        referenced: other rows ask for the verdicts on rows of this load.
        spread: how one source row becomes several candidates.
        lookups: names and labels of the lookup tables that its fields use; their content decides
            about its rows.
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
    write: WriteMode
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
        return self.source_columns(self.columns)

    def source_columns(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Those of the source itself that ``columns`` and the source key come from."""
        if self.spread is None:
            return tuple(columns)
        wanted = dict.fromkeys([*columns, *self.row_key, *self.spread.places])
        return tuple(name for name in wanted if name not in self.spread.columns)

    def source_bounds(self, bounds: PartitionBounds) -> PartitionBounds:
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
            types |= {attribute.column: attribute.type for attribute in field.attributes}
        if self.generated is not None:
            types[self.generated.name] = self.generated.target
        return types

    def stage(self, stage: FieldStage) -> tuple[FieldProgram, ...]:
        """The fields that are computed in a stage."""
        return tuple(f for f in self.fields if f.stage is stage)
