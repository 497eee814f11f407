"""What must hold within a specification, whatever the databases look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.column_types import parse_type
from schemas.errors import Problem
from schemas.specification.field_reading import reading_problems
from schemas.specification.load_order import CircularReferences, levels, parents_of
from schemas.specification.maps import GEM_ATTRIBUTES
from schemas.specification.named_relation import NamedRelation
from schemas.specification.policies import OnError, OnMissing, WriteMode
from schemas.specification.root import Specification
from schemas.specification.rule_parameters import parameter_problems
from schemas.specification.source_problems import source_problems
from schemas.specification.table import Field, Load
from schemas.sql.transformations import TRANSFORMATIONS, is_python_function


def inconsistencies(specification: Specification) -> tuple[list[Problem], list[Problem]]:
    """All problems of a specification that can be seen without a database.

    Returns:
        Those of servers, maps and loads, from which others would follow. And those of single
        fields, in spite of which the databases can say what else is wrong.
    """
    general = [*source_problems(specification), *_maps(specification)]
    of_fields = []
    for name, load in specification.tables.items():
        general += [*_load(specification, name, load)]
        for field_name, field in load.fields.items():
            of_fields += [*_field(specification, name, field_name, field)]
    if not (general or of_fields):
        general += [*_circles(specification)]
    return general, of_fields


def _maps(specification: Specification) -> Iterator[Problem]:
    sources = specification.named_sources
    for entry in specification.maps.values():
        if entry.query is None or entry.query.target is not None:
            continue
        named = entry.query.source
        if named is not None and named not in sources:
            yield entry.problem(
                f"there is no source '{named}'",
                "query",
                "source",
                remedy=f"known: {', '.join(sources)}",
            )
        elif named is None and len(sources) > 1:
            yield entry.problem(
                "with several sources, each query says which one it reads",
                "query",
                remedy="write query: {source: NAME, query: SQL}",
            )


def _load(specification: Specification, name: str, load: Load) -> Iterator[Problem]:
    for position, relation in enumerate(load.from_):
        yield from _relation(specification, load, position, relation)
    for position, relation in enumerate(load.from_):
        if relation.source != load.from_[0].source:
            yield load.problem(
                "a load reads from one source",
                "from",
                position,
                remedy="make two loads with the same 'into'",
            )
    written = [*load.copy_, *load.fields]
    into = [column for field in load.fields.values() for column in field.into]
    for column in sorted({c for c in (*written, *into) if (*written, *into).count(c) > 1}):
        yield load.problem(
            f"the field '{column}' is filled twice", remedy="keep one of 'copy', 'fields', 'into'"
        )
    for position, column in enumerate(load.key):
        if column not in (*written, *into):
            yield load.problem(
                f"the key's column '{column}' is not among the fields",
                "key",
                position,
                remedy=f"add '{column}' to 'fields' or 'copy'",
            )
    if not load.key and load.write is not WriteMode.INSERT:
        yield load.problem(
            f"'write: {load.write.value}' needs a 'key'", "write", remedy="add 'key: [...]'"
        )
    for field_name, field in load.fields.items():
        if field.generate and load.write is WriteMode.UPSERT and field_name not in load.key:
            yield field.problem(
                f"an upsert would give rows that stand there another '{field_name}'",
                "generate",
                remedy="write insert or skip_existing, or let the target's default fill it",
            )
    if not load.key and "duplicates" in load.model_fields_set:
        yield load.problem("'duplicates' needs a 'key'", "duplicates", remedy="add 'key: [...]'")
    named = {f.rule for f in load.fields.values() if f.rule is not None}
    for label, rule in load.rules.items():
        yield from parameter_problems(rule)
        if label in named:
            yield rule.problem(
                f"the rule '{label}' has the name of a field's required check",
                remedy="rename one of them",
            )
    del name


def _relation(
    specification: Specification, load: Load, position: int, relation: NamedRelation
) -> Iterator[Problem]:
    below = ("from", position)
    if relation.spread != load.from_[0].spread:
        yield load.problem(
            "all relations of a load have the same 'unpivot' or 'split'",
            *below,
            remedy="make two loads with the same 'into'",
        )
    sources = specification.named_sources
    if relation.source is not None and relation.source not in sources:
        yield load.problem(
            f"there is no source '{relation.source}'",
            *below,
            "source",
            remedy=f"known: {', '.join(sources)}",
        )
    source = sources.get(relation.source or next(iter(sources)))
    if source is not None and source.is_files and load.partition is not None:
        yield load.problem("files are divided without a 'partition'", "partition")
    if relation.source is None and len(sources) > 1:
        yield load.problem(
            "with several sources, each load says which one it reads",
            *below,
            remedy="write from: {source: NAME, table: TABLE}",
        )


def _field(
    specification: Specification, load_name: str, name: str, field: Field
) -> Iterator[Problem]:
    for position, step in enumerate(field.transform):
        if step not in TRANSFORMATIONS and not is_python_function(step):
            yield field.problem(
                f"there is no transformation '{step}'",
                "transform",
                position,
                remedy=f"known: {', '.join(TRANSFORMATIONS)}; or 'module:function'",
            )
    if field.type is not None:
        yield from _reading(field, parse_type, field.type, "name a PostgreSQL type", "type")
    yield from reading_problems(field)
    if field.on_error is OnError.SET_NULL and name in specification.tables[load_name].key:
        yield field.problem(
            "'on_error: set_null' writes NULL, and this field is part of the key",
            "on_error",
            remedy="remove 'on_error': a row without its key can't be kept",
        )
    if field.map is not None:
        used = specification.maps.get(field.map)
        if used is None:
            known = ", ".join(specification.maps) or "none; add it under 'maps'"
            yield field.problem(f"there is no map '{field.map}'", "map", remedy=f"known: {known}")
        else:
            for key in ("coded_in", "coded_on"):
                if getattr(field, key) is not None and not used.is_gem:
                    message = f"'{key}' is for a GEM map, and '{field.map}' is none"
                    yield field.problem(message, key, remedy="leave it out")
            for column, attribute in field.into.items():
                if attribute not in used.attributes:
                    kind = "a map of a CSV file or a query" if used.is_lookup else "a GEM map"
                    yield field.problem(
                        f"the map '{field.map}' gives no '{attribute}'",
                        "into",
                        column,
                        remedy=f"{kind} gives {', '.join(used.attributes or GEM_ATTRIBUTES)}",
                    )
            several = len(field.from_ or ()) > 1
            if several and field.ref is None and not used.is_lookup:
                yield field.problem(
                    "'from' takes several columns only with 'ref', or with a map that has as many"
                    " key columns",
                    "from",
                    remedy="name one column, or make the map of a CSV file or a query",
                )
    if field.ref is not None:
        yield from _reference(specification, load_name, name, field)


def _reference(
    specification: Specification, load_name: str, name: str, field: Field
) -> Iterator[Problem]:
    assert field.ref is not None
    parents = parents_of(specification, field.ref)
    if not parents:
        yield field.problem(
            f"'ref' names no load and no target table: '{field.ref}'",
            "ref",
            remedy=f"known: {', '.join(specification.tables)}",
        )
        return
    own = specification.target_table(load_name)
    if load_name in parents or specification.target_table(parents[0]) == own:
        if not field.deferred:
            yield field.problem(
                "a reference to its own table needs a second pass",
                "ref",
                remedy="add 'deferred: true'",
            )
        if field.missing_parent is OnMissing.PLACEHOLDER or field.take:
            yield field.problem(
                "a deferred reference takes neither 'placeholder' nor 'take'", "ref"
            )
        load = specification.tables[load_name]
        if name in load.key:
            yield field.problem("a deferred reference can't be part of the key", "ref")
        if load.write is WriteMode.UPSERT and (
            field.missing_parent is OnMissing.REJECT or field.on_skipped
        ):
            yield field.problem(
                "a row that an upsert has changed can't be taken back in the second pass",
                "on_skipped" if field.on_skipped else "on_missing",
                remedy="choose 'on_missing: set_null' or 'allow', and no 'on_skipped'",
            )
    elif field.deferred:
        yield field.problem(
            "'deferred' is for a reference to its own table", "deferred", remedy="leave it out"
        )
    for parent in parents:
        key = specification.tables[parent].key
        if len(key) != 1 and specification.tables[parent].generated_reference is None:
            yield field.problem(
                f"'{parent}' can't be referred to: its key has {len(key)} columns, and none of its"
                " fields is generated",
                "ref",
                remedy=f"give tables.{parent}.key one column, or generate the column that"
                " references take: {generate: sequence}",
            )


def _reading(
    field: Field, read: Callable[[str], object], text: str, remedy: str, *below: str | int
) -> Iterator[Problem]:
    try:
        read(text)
    except ValueError as error:
        yield field.problem(str(error), *below, remedy=remedy)


def _circles(specification: Specification) -> Iterator[Problem]:
    try:
        levels(specification)
    except CircularReferences as error:
        first, second = error.circle[:2]
        load = specification.tables[first]
        to_next = [
            name
            for name, field in load.fields.items()
            if field.ref is not None and second in parents_of(specification, field.ref)
        ]
        remedy = "a row needs a parent that is there before it; break the circle"
        if to_next and load.key:
            table = specification.target_table(first)
            remedy = (
                f"leave {', '.join(to_next)} out of '{first}', and add at the end of 'tables' a"
                f" copy of it that has it, named '{first}_again', with 'into: {table}' and 'write:"
                f" upsert'; references to '{first}' must name that load"
            )
        yield load.problem(
            f"the loads refer to each other in a circle: {error}",
            *(("fields", to_next[0], "ref") if to_next else ()),
            remedy=remedy,
        )
