"""Compiles a load: specification against the catalogues of source and target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from schemas.catalog import Relation
from schemas.column_types import ColumnType
from schemas.errors import ErrorCode
from schemas.sql.expressions import literal
from transforms.compiling import keys
from transforms.compiling.compiled_spread import compile_spread, spread_relation
from transforms.compiling.condition_programs import ConditionCompiler
from transforms.compiling.field import compile_copy, compile_field
from transforms.compiling.function_resolution import resolve_functions
from transforms.compiling.load_facts import FieldProblem, LoadFacts, united_relations
from transforms.compiling.schema_fit import (
    check_read,
    check_relations,
    check_written,
    taken_columns,
    target_types,
)
from transforms.compiling.scope import Scope
from transforms.model.field_maps import TableLookup
from transforms.model.field_program import FieldProgram, FieldStage
from transforms.model.program import LoadProgram
from transforms.model.spread_program import SpreadProgram


def compile_load(
    facts: LoadFacts, constants: Mapping[str, str], folder: str = ""
) -> LoadProgram | None:
    """Compiles a load.

    Args:
        facts: the load; gets its problems, each with its place in the specification: TRANS-001 for
            a name that isn't there, TRANS-004 for a schema that doesn't fit, SYS-004 for an
            expression or a file that can't be used.
        constants: the system names as SQL (``sql_constants``).
        folder: the one of the specification, with the site's modules and files.

    Returns:
        The program; None where there are problems.
    """
    problems_before = len(facts.problems)
    check_relations(facts)
    relations = united_relations(facts.catalog.relations)
    spread = compile_spread(facts, relations[0])
    types = target_types(facts)
    readable = {n: t for n, t in types.items() if not keys.is_made_later(facts, n)}
    taken, untaken = taken_columns(facts)
    scope = Scope(spread_relation(relations[0], spread), readable, taken, constants, {})
    conditions = ConditionCompiler(facts, scope, untaken, Path(folder))
    fields = _fields(facts, scope, conditions, types)
    program = _program(facts, scope, conditions, fields, types, relations, spread)
    check_written(facts, types, fields)
    check_read(facts, relations, _source_columns(scope.read, spread))
    program = replace(program, fields=resolve_functions(facts, fields, folder))
    return None if len(facts.problems) > problems_before else program


def _program(
    facts: LoadFacts,
    scope: Scope,
    conditions: ConditionCompiler,
    fields: tuple[FieldProgram, ...],
    types: Mapping[str, ColumnType],
    relations: tuple[Relation, ...],
    spread: SpreadProgram | None,
) -> LoadProgram:
    """The program with the compiled ``fields``; incomplete where problems were noted."""
    load, source = facts.load, scope.source
    skips, rules, duplicates = conditions.skips(), conditions.rules(), conditions.duplicates()
    group_rules = conditions.group_rules()
    source_key = keys.source_key(facts, scope, spread)
    partition_by = _partition_columns(facts, scope)
    generated = keys.generated_key(facts, types)
    referenced = keys.is_referenced(facts)
    return LoadProgram(
        name=facts.name,
        source=facts.catalog.source,
        relations=relations,
        columns=tuple(scope.read),
        with_ctid=not source_key and len(relations) == 1 and source.has_physical_ranges,
        source_key=source_key,
        partition_by=partition_by,
        table=facts.table,
        key=tuple(load.key),
        write=load.write,
        fields=fields,
        generated=generated,
        skips=skips,
        rules=rules,
        group_rules=group_rules,
        duplicates=duplicates,
        finds_duplicates=keys.may_have_duplicates(facts, source, fields, generated),
        with_keys=generated is not None or keys.is_referenced_by_several_columns(facts),
        with_skips=referenced and keys.may_skip(facts),
        referenced=referenced or any(f.deferred for f in load.fields.values()),
        spread=spread,
        lookups=_lookup_labels(facts, fields),
    )


def _partition_columns(facts: LoadFacts, scope: Scope) -> tuple[str, ...] | None:
    if facts.load.partition is None:
        return None
    return tuple(
        keys.named_column(facts, scope, column, "partition", position)
        for position, column in enumerate(facts.load.partition)
    )


def _lookup_labels(facts: LoadFacts, fields: Sequence[FieldProgram]) -> tuple[tuple[str, str], ...]:
    """The names and labels of the lookup tables that the fields use."""
    names = sorted({f.map.table for f in fields if isinstance(f.map, TableLookup)})
    return tuple((name, facts.lookups[name].label) for name in names if name in facts.lookups)


def _source_columns(read: Iterable[str], spread: SpreadProgram | None) -> list[str]:
    """The columns that are read from the source itself."""
    if spread is None:
        return list(read)
    return list(dict.fromkeys([*(n for n in read if n not in spread.columns), *spread.places]))


def sql_constants(job: str, started_at: str) -> dict[str, str]:
    """The system names of a run as SQL: the start (ISO 8601 with zone) and the job's name."""
    return {
        "started_at": f"CAST({literal(started_at)} AS TIMESTAMP WITH TIME ZONE)",
        "job": literal(job),
    }


def _fields(
    facts: LoadFacts, scope: Scope, conditions: ConditionCompiler, types: dict[str, ColumnType]
) -> tuple[FieldProgram, ...]:
    compiled: list[FieldProgram] = []
    for position, name in enumerate(facts.load.copy_):
        if name in types:
            try:
                compiled.append(compile_copy(facts, scope, name))
            except FieldProblem as problem:
                facts.add(problem, "copy", position)
    for name, field in facts.load.fields.items():
        if field.generate is not None or name not in types:
            continue
        if field.ref is not None and facts.parent_table(field.ref) is None:
            continue
        if field.sql is not None and conditions.reads_untaken(field.sql):
            continue
        if {field.coded_in, field.coded_on} & {f"out.{alias}" for alias in conditions.untaken}:
            continue
        try:
            compiled.append(compile_field(facts, scope, name, field, types))
        except FieldProblem as problem:
            facts.add(problem, "fields", name)
    return _set_stages(facts, compiled)


def _set_stages(facts: LoadFacts, fields: Sequence[FieldProgram]) -> tuple[FieldProgram, ...]:
    """Sets the stage in which each field is computed; a circle of fields is a problem."""
    waiting = [f for f in fields if f.reference is not None or _reads_parents(f)]
    late: set[str] = set()
    while waiting:
        late |= {column for f in waiting for column in f.columns}
        waiting = [f for f in fields if f.name not in late and late & set(f.fields_read)]
    staged = []
    for field in fields:
        if field.reference is None and field.name in late:
            stage = FieldStage.AFTER_REFERENCES
        elif field.fields_read:
            stage = FieldStage.DERIVE
        else:
            stage = FieldStage.MAP if field.translation is None else FieldStage.TRANSLATE
        if field.reference is not None and late & set(field.fields_read):
            message = "a reference can't be computed from another reference"
            facts.problem(message, "fields", field.name, code=ErrorCode.SYS_004)
        staged.append(replace(field, stage=stage))
    for circle in _circles(fields):
        message = f"the fields read each other in a circle: {' -> '.join(circle)}"
        facts.problem(message, "fields", circle[0], code=ErrorCode.SYS_004)
    return tuple(staged)


def _reads_parents(field: FieldProgram) -> bool:
    return any('"take.' in expression.sql for expression in field.reads)


def _circles(fields: Sequence[FieldProgram]) -> list[list[str]]:
    reads = {f.name: [n for n in f.fields_read if n != f.name] for f in fields}
    itself = [[f.name, f.name] for f in fields if f.name in f.fields_read]
    waiting = dict(reads)
    while True:
        ready = [n for n, r in waiting.items() if not set(r) & set(waiting)]
        if not ready:
            break
        for name in ready:
            del waiting[name]
    return itself + ([[*waiting, next(iter(waiting))]] if waiting else [])
