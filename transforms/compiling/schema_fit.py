"""Whether source and target have what a load reads and writes: TRANS-001, TRANS-004."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.catalog import Relation
from schemas.column_types import ColumnType
from schemas.errors import ErrorCode
from schemas.specification.policies import OnMissing, WriteMode
from schemas.violations import ORDINAL
from schemas.wider_types import wider_type
from transforms.compiling.known_columns import known_columns
from transforms.compiling.load_facts import LoadFacts
from transforms.model.field_program import FieldProgram
from transforms.model.source_rows import FILE


def check_relations(facts: LoadFacts) -> None:
    """The target is a table, and the sources are alike."""
    if facts.table.kind not in ("r", "p", "f"):
        facts.problem(
            f"{facts.table} is a view, and rows are written to tables",
            *(("into",) if facts.load.into else ()),
            remedy="name the table behind it with 'into'",
        )
    first, *others = facts.catalog.relations
    for column in first.columns:
        widest, holder = column.type, first
        for position, other in enumerate(others, start=1):
            same = other.column(column.name)
            if same is None:
                continue
            wider = wider_type(widest, same.type)
            if wider is None:
                in_files = other.column(FILE) is not None
                remedy = "read them as two loads" if in_files else "cast it in a query"
                facts.problem(
                    f"'{column.name}' is {widest} in {holder} and {same.type} in {other}",
                    "from",
                    position,
                    remedy=remedy,
                )
            elif wider != widest:
                widest, holder = wider, other


def check_read(facts: LoadFacts, relations: Sequence[Relation], read: Iterable[str]) -> None:
    """Every relation of the load has each column that is read of the first, and has it once."""
    several = len(relations) > 1
    for position, relation in enumerate(relations):
        names = [column.name for column in relation.columns]
        for name in read:
            if names.count(name) == 1:
                continue
            defect = "has several columns" if name in names else "has no column"
            facts.problem(
                f"{relation} {defect} '{name}'",
                "from",
                *((position,) if several else ()),
                code=ErrorCode.TRANS_001,
                remedy=known_columns(relation, facts.load),
            )


def target_types(facts: LoadFacts) -> dict[str, ColumnType]:
    """The types of the target fields, as far as they have a column there."""
    types: dict[str, ColumnType] = {}
    written: list[tuple[str, tuple[str | int, ...]]] = [
        (name, ("copy", position)) for position, name in enumerate(facts.load.copy_)
    ]
    for name, field in facts.load.fields.items():
        written.append((name, ("fields", name)))
        written += [(column, ("fields", name, "into", column)) for column in field.into]
    for name, below in written:
        column = facts.table.column(name)
        if column is None or column.name != name:
            facts.problem(
                f"the target table {facts.table} has no column '{name}'",
                *below,
                remedy=known_columns(facts.table, facts.load),
            )
        elif column.generated:
            facts.problem(f"the target computes the column '{name}' itself", *below)
        elif name == ORDINAL:
            facts.problem(f"a column of the name '{name}' can't be written", *below)
        else:
            types[name] = column.type
    return types


def taken_columns(facts: LoadFacts) -> tuple[dict[str, ColumnType], set[str]]:
    """The types of the parents' columns that are taken, and the aliases of those that can't be."""
    taken: dict[str, ColumnType] = {}
    untaken: set[str] = set()
    for name, field in facts.load.fields.items():
        for alias, column_name in field.take.items():
            table = facts.parent_table(field.ref or "")
            if table is None:
                untaken.add(alias)
                continue
            column = table.column(column_name)
            if column is None:
                untaken.add(alias)
                facts.problem(
                    f"the parent's table has no column '{column_name}'",
                    "fields",
                    name,
                    "take",
                    alias,
                    code=ErrorCode.TRANS_001,
                    remedy=known_columns(table, facts.load),
                )
            elif alias in facts.load.fields or alias in facts.load.copy_:
                facts.problem(
                    f"'{alias}' is also a field of this load",
                    "fields",
                    name,
                    "take",
                    alias,
                    code=ErrorCode.SYS_004,
                    remedy="take it under another name",
                )
            else:
                taken[alias] = column.type
    return taken, untaken


def check_written(
    facts: LoadFacts, types: dict[str, ColumnType], fields: Sequence[FieldProgram]
) -> None:
    """The target can hold what is written, and nothing that it needs is left out."""
    for column in facts.table.columns:
        if column.must_be_given and column.name not in types:
            facts.problem(
                f"the target column '{column.name}' is NOT NULL, has no default, and no "
                "field fills it",
                "fields",
                remedy=f"add '{column.name}' to 'fields'",
            )
    for field in fields:
        written = facts.table.column(field.name)
        if field.reference is not None and written is not None and not written.nullable:
            if field.reference.deferred:
                facts.problem(
                    "a deferred reference is NULL at first, and this column is NOT NULL",
                    "fields",
                    field.name,
                    remedy="let the column be NULL in the target",
                )
            elif field.reference.on_missing is OnMissing.SET_NULL:
                facts.problem(
                    "'on_missing: set_null' needs a column that may be NULL",
                    "fields",
                    field.name,
                    "on_missing",
                    remedy="choose reject or placeholder",
                )
    if facts.load.write is WriteMode.UPSERT and set(facts.load.key) not in [
        set(key) for key in facts.table.unique_keys
    ]:
        facts.problem(
            f"upsert needs a unique key on ({', '.join(facts.load.key)}) in the target",
            "write",
            remedy="add the constraint, or write: insert",
        )
