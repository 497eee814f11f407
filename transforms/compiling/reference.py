"""Compiles the reference of a field: its parents, and the key by which it refers to them."""

from __future__ import annotations

from schemas.catalog import Relation
from schemas.column_types import TEXT, ColumnType
from schemas.conversions import AS_WRITTEN, ConversionProblem, convert
from schemas.errors import ErrorCode
from schemas.specification.load_order import parents_of
from schemas.specification.table import Field, Load
from schemas.sql.expressions import literal
from schemas.wider_types import widest_type
from transforms.compiling.field_types import why_unfit
from transforms.compiling.keys import identifying_columns
from transforms.compiling.load_facts import FieldProblem, LoadFacts
from transforms.model.parent_reference import Reference
from transforms.sql.duckdb_engine import evaluate_scalar


def reference_of(facts: LoadFacts, field: Field) -> Reference | None:
    """The reference of a field, None where it has none. Raises FieldProblem (TRANS-004)."""
    if field.ref is None:
        return None
    specification, catalogs = facts.specification, facts.catalogs
    parents = [p for p in parents_of(specification, field.ref) if p in catalogs]
    table = catalogs[parents[0]].table
    loads = [specification.tables[p] for p in parents]
    generated = {load.generated_reference for load in loads} - {None}
    column_name = min(filter(None, generated), default="") or loads[0].key[0]
    column = table.column(column_name)
    if column is None:
        raise FieldProblem(
            ErrorCode.TRANS_004, f"{table} has no column '{column_name}' to refer to", "ref"
        )
    columns = specification.referring_columns(field)
    by_source_key = bool(generated) or columns > 1
    if by_source_key:
        for parent, load in zip(parents, loads, strict=True):
            _check_recorded(parent, load)
            _check_identified(columns, parent, load, identifying_columns(load, catalogs[parent]))
    take = tuple(
        (alias, name, taken.type)
        for alias, name in field.take.items()
        if (taken := table.column(name)) is not None
    )
    return Reference(
        parents=tuple(parents),
        table=table,
        column=column.name,
        by_source_key=by_source_key,
        shares_source_keys=by_source_key and _shares_source_keys(facts, parents),
        on_missing=field.missing_parent,
        placeholder=tuple(
            (name, _placeholder_value(table, name, text))
            for name, text in sorted(field.placeholder_values.items())
        ),
        on_skipped=field.skipped_parent,
        deferred=field.deferred,
        take=take,
    )


def _placeholder_value(table: Relation, name: str, text: str) -> str:
    """The value as the server writes it, read as strictly as those of the source.

    The server would read ``now`` as a date, round ``1.005``, and take ``01/02/2020`` for January.
    Raises FieldProblem.
    """
    column = table.column(name)
    if column is None or column.generated:
        # ``refused_values`` reports it, as it does what only the server can judge.
        return text
    target = column.type
    wrong = None
    try:
        if target.length is not None and len(text) > target.length:
            wrong = f"the value is longer than {target}"
        elif why_unfit(text, target, None, AS_WRITTEN) is not None:
            wrong = f"the value is no {target}"
    except ConversionProblem:
        wrong = f"the value is no {target}"
    if wrong is not None:
        raise FieldProblem(
            ErrorCode.TRANS_004,
            f"a placeholder's '{name}': {wrong}",
            "on_missing",
            remedy="correct it, or leave it out",
        )
    if target.is_textual or not (target.is_native or target.name == "numeric"):
        return text
    value = convert(literal(text), TEXT, target).value
    return str(evaluate_scalar(convert(value, target, TEXT).value))


def _shares_source_keys(facts: LoadFacts, parents: list[str]) -> bool:
    """Whether what identifies a row of the parents is no unique key of one relation."""
    if len(parents) > 1:
        return True
    catalog = facts.catalogs[parents[0]]
    identified = set(identifying_columns(facts.specification.tables[parents[0]], catalog))
    relations = catalog.relations
    unique = any(identified >= set(key) for key in relations[0].unique_keys)
    return len(relations) > 1 or not unique


def identifying_types(facts: LoadFacts, field: Field) -> list[ColumnType | None]:
    """The types of what identifies the parent's row, one for each column of ``from``."""
    assert field.from_ is not None
    assert field.ref is not None
    if field.transform or field.map is not None:
        # The value is a text of the source.
        return [None] * len(field.from_)
    types_of_parts: list[list[ColumnType]] = [[] for _ in field.from_]
    for parent in parents_of(facts.specification, field.ref):
        catalog = facts.catalogs.get(parent)
        if catalog is None:
            continue
        names = identifying_columns(facts.specification.tables[parent], catalog)
        for types, name in zip(types_of_parts, names, strict=False):
            columns = [relation.column(name) for relation in catalog.relations]
            types += [column.type for column in columns if column is not None]
    return [widest_type(types) if types else None for types in types_of_parts]


def _check_recorded(parent: str, load: Load) -> None:
    """Raises FieldProblem unless the keys recorded of the parent are those to refer to."""
    generated = [name for name, field in load.fields.items() if field.generate is not None]
    if generated and load.generated_reference is None:
        raise FieldProblem(
            ErrorCode.TRANS_004,
            f"'{parent}' records the values of '{generated[0]}' by source key, and this refers to"
            f" its key '{load.key[0]}'",
            "ref",
            remedy=f"let 'from' name the one column that gives '{load.key[0]}'",
        )


def _check_identified(count: int, parent: str, load: Load, key: tuple[str, ...]) -> None:
    """Raises FieldProblem unless a reference gives what identifies the parent's source row."""
    if count == len(key):
        return
    message = f"nothing identifies a source row of '{parent}', to which this refers"
    if key:
        message = f"a source row of '{parent}' is identified by ({', '.join(key)}), of which this"
        message += f" gives {count}"
    remedy = f"give as many columns, or let the 'source_key' of '{parent}' be what this refers to"
    columns = [load.fields[c].from_ or [] if c in load.fields else [c] for c in load.key]
    if count == len(load.key) and all(len(names) == 1 for names in columns):
        # The reference gives the parent's key.
        remedy = f"add 'source_key: [{', '.join(names[0] for names in columns)}]' to '{parent}'"
    raise FieldProblem(ErrorCode.TRANS_004, message, "ref", remedy=remedy)
