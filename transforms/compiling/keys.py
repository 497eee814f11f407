"""The keys of a load: which row is which, in the source and in the target, and who refers to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.catalog import Column, Relation
from schemas.column_types import ColumnType
from schemas.errors import ErrorCode
from schemas.specification.load_order import parents_of
from schemas.specification.policies import KeyGenerator, Losers, WriteMode
from schemas.specification.table import Load
from schemas.sql.expressions import quote
from transforms.compare.equal_keys import is_alike_as_text
from transforms.compiling.known_columns import known_columns
from transforms.compiling.load_facts import LoadCatalog, LoadFacts
from transforms.compiling.scope import Scope, UnknownName
from transforms.model.field_origins import unchanged_column
from transforms.model.field_program import FieldProgram
from transforms.model.program import GeneratedKey
from transforms.model.spread_program import SpreadProgram


def source_key(
    facts: LoadFacts, scope: Scope, spread: SpreadProgram | None = None
) -> tuple[str, ...]:
    """The source columns that identify a candidate: as named, else the primary key, else none.

    Of rows that are spread the position in the row is the last of them.
    """
    identified = identifying_columns(facts.load, facts.catalog)
    if spread is not None and not identified:
        facts.problem(
            "of a row that becomes several the source key must be known, and it has no primary key",
            "from",
            0,
            code=ErrorCode.SYS_004,
            remedy="name columns that identify a row: 'source_key: [...]'",
        )
    place = facts.load.source_key is not None
    return tuple(
        filter(
            None,
            [
                named_column(facts, scope, c, "source_key", *((i,) if place else ()))
                for i, c in enumerate(identified)
            ],
        )
    )


def identifying_columns(load: Load, catalog: LoadCatalog) -> tuple[str, ...]:
    """The columns, as they are called, that identify a candidate of any load."""
    if load.source_key is not None:
        columns = tuple(load.source_key)
    else:
        keys = {relation.primary_key for relation in catalog.relations}
        columns = keys.pop() if len(keys) == 1 else ()
    spread = load.from_[0].spread
    if spread is None or not columns or spread.position in columns:
        return columns
    return (*columns, spread.position)


def named_column(facts: LoadFacts, scope: Scope, name: str, *below: str | int) -> str:
    """The source column of that name; empty, with a problem, where there is none."""
    try:
        column, _ = scope.source_column(name)
    except UnknownName as error:
        remedy = known_columns(scope.source, facts.load)
        facts.problem(str(error), *below, code=ErrorCode.TRANS_001, remedy=remedy)
        return ""
    return column.removeprefix("src.")


def generated_key(facts: LoadFacts, types: Mapping[str, ColumnType]) -> GeneratedKey | None:
    """The field whose value the migration makes; ``types`` are those of the target fields."""
    named = [(n, f.generate) for n, f in facts.load.fields.items() if f.generate is not None]
    if len(named) > 1:
        facts.problem("only one field can be generated", "fields", named[1][0])
    for name, kind in named:
        if name not in types or kind is None:
            continue
        target = types[name]
        fitting = (
            target.is_integer or target.name == "numeric"
            if kind is KeyGenerator.SEQUENCE
            else target.name == "uuid" or target.is_textual
        )
        if not fitting:
            facts.problem(f"{target} can't hold a generated {kind.value}", "fields", name)
        column = facts.table.column(name)
        if kind is KeyGenerator.SEQUENCE and column is not None and column.sequence_computed:
            _refuse_computed(facts, column)
        return GeneratedKey(name, kind, target, column.sequence if column else None)
    return None


def _refuse_computed(facts: LoadFacts, column: Column) -> None:
    sequence = (column.sequence or "").replace("'", "''")
    table = f"{quote(facts.table.schema)}.{quote(facts.table.name)}"
    facts.problem(
        f"the default of {column.name} computes with the sequence {column.sequence}: its plain"
        " numbers may be those that the default gives to other rows",
        *("fields", column.name, "generate"),
        remedy=f"run on the target: ALTER TABLE {table} ALTER COLUMN {quote(column.name)}"
        f" SET DEFAULT nextval('{sequence}')",
    )


def is_made_later(facts: LoadFacts, name: str) -> bool:
    """Whether a field has no value yet when expressions are evaluated."""
    fields = facts.load.fields
    field = fields.get(name)
    if field is None:
        return False
    if field.generate is not None:
        return True
    # A deferred reference by source key gets its value in the second pass.
    generated = facts.load.generated_reference is not None
    return field.deferred and (generated or facts.specification.referring_columns(field) > 1)


def may_have_duplicates(
    facts: LoadFacts,
    source: Relation,
    fields: Sequence[FieldProgram],
    generated: GeneratedKey | None,
) -> bool:
    """Whether two candidates can have one key: not where it is a unique key of the source."""
    key = facts.load.key
    if not key or (generated is not None and generated.name in key):
        return False
    if len(facts.catalog.relations) > 1:
        return True
    if facts.load.from_[0].spread is not None:
        return True
    by_name = {f.name: f for f in fields}
    table = {column.name: column for column in facts.table.columns}
    straight = {
        _straight_from(source, by_name[column])
        for column in key
        if column in by_name and is_alike_as_text(table[column])
    }
    return not any(set(unique) <= straight for unique in source.unique_keys)


def _straight_from(source: Relation, field: FieldProgram) -> str | None:
    """The source column of which the field's values are as distinct as its own."""
    column = source.column(unchanged_column(field.origin) or "")
    changed = field.transforms or field.map is not None
    if column is None or changed or (field.reference and field.reference.by_source_key):
        return None
    return column.name if _injective(column.type, field.target) else None


def _injective(source: ColumnType, target: ColumnType) -> bool:
    """Whether two distinct values of the source stay distinct after a strict conversion."""
    if source.is_integer and (target.is_integer or target.name in ("numeric", "text", "varchar")):
        return True
    return source.name == target.name and source.name in ("text", "varchar", "uuid", "date")


def is_referenced(facts: LoadFacts) -> bool:
    """Whether any load refers to this one."""
    return any(facts.name in parents for parents, _ in _references(facts))


def is_referenced_by_several_columns(facts: LoadFacts) -> bool:
    return any(facts.name in parents and several for parents, several in _references(facts))


def may_skip(facts: LoadFacts) -> bool:
    """Whether a candidate can be skipped: by a condition, with its parent, or for its key."""
    load = facts.load
    by_parent = any(f.ref is not None for f in load.fields.values())
    by_key = load.duplicates.losers is Losers.SKIP or load.write is WriteMode.SKIP_EXISTING
    return bool(load.skip) or by_parent or by_key


def _references(facts: LoadFacts) -> list[tuple[list[str], bool]]:
    """All references of the specification: the loads meant, and whether by several columns."""
    return [
        (
            parents_of(facts.specification, field.ref),
            facts.specification.referring_columns(field) > 1,
        )
        for load in facts.specification.tables.values()
        for field in load.fields.values()
        if field.ref is not None
    ]
