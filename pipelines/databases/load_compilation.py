"""Compiling the loads of a specification against the catalogues of source and target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg

from pipelines.databases.open_databases import Databases
from schemas.catalog import Relation
from schemas.catalog_reader import read_relation
from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.relation_names import quoting_hint
from schemas.specification.policies import OnMissing
from schemas.specification.root import Specification
from schemas.specification.table import Load
from schemas.sql.expressions import FIX
from transforms.compiling.load import compile_load, sql_constants
from transforms.compiling.load_facts import LoadCatalog, LoadFacts
from transforms.model.program import LoadProgram
from transforms.references.placeholders import refused_values, unfillable_columns
from transforms.sources.source_access import NoSuchRelation, Source


@dataclass(frozen=True)
class Lookups:
    """Lookup tables by name, and the problems of those that can't be read."""

    tables: Mapping[str, LookupTable] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def compile_programs(
    databases: Databases, started_at: str, lookups: Lookups | None = None
) -> dict[str, LoadProgram]:
    """Compile all loads against the catalogues.

    Args:
        databases: The open sources and the target.
        started_at: The moment at which the job began, ISO 8601 with a zone.
        lookups: The lookup tables that the loads use; a caller that runs no load needs none.

    Returns:
        The programs by load.

    Raises:
        TransfuseError: Exit status 2, with every problem of the specification (TRANS-001, TRANS-004
            and SYS-004).
    """
    programs, problems = compile_loads(databases, started_at, lookups)
    if problems:
        raise TransfuseError(problems)
    return programs


def compile_loads(
    databases: Databases, started_at: str, lookups: Lookups | None = None
) -> tuple[dict[str, LoadProgram], list[Problem]]:
    """Compile the loads that fit the catalogues, and find the problems of all others.

    Args:
        databases: The open sources and the target.
        started_at: The moment at which the job began, ISO 8601 with a zone.
        lookups: The lookup tables that the loads use.

    Returns:
        The programs by load, and every problem of the specification.
    """
    specification = databases.specification
    lookups = lookups or Lookups()
    problems: list[Problem] = list(lookups.problems)
    catalogs: dict[str, LoadCatalog] = {}
    for name, load in specification.tables.items():
        catalog = _catalog(databases, name, load, problems)
        if catalog is not None:
            catalogs[name] = catalog
    constants = sql_constants(specification.job, started_at)
    programs = {}
    for name, catalog in catalogs.items():
        if len(catalog.relations) < len(specification.tables[name].from_):
            continue
        folder = str(databases.specification.folder.resolve())
        facts = LoadFacts(specification, name, catalogs, lookups=lookups.tables)
        program = _compile(facts, constants, folder)
        problems += facts.problems
        if program is not None:
            programs[name] = program
    problems = _with_deferred(problems, specification.deferred_problems)
    if not problems:
        problems += _placeholder_problems(databases.target, specification, programs)
    return programs, problems


def _compile(facts: LoadFacts, constants: Mapping[str, str], folder: str) -> LoadProgram | None:
    """Compile a load; None if it can't be compiled for problems that are reported already."""
    try:
        return compile_load(facts, constants, folder)
    except Exception:
        if not facts.specification.deferred_problems:
            raise
        # This failure may follow from a problem of the specification.
        return None


def _with_deferred(problems: list[Problem], deferred: Sequence[Problem]) -> list[Problem]:
    """All problems, each once: the deferred ones say more of a place than what follows there."""
    explained = {problem.where for problem in deferred if problem.remedy != FIX}
    return [
        *deferred,
        *(p for p in problems if p not in deferred and p.where not in explained),
    ]


def _catalog(
    databases: Databases, name: str, load: Load, problems: list[Problem]
) -> LoadCatalog | None:
    """The relations and the table of a load; None without a source or a target table."""
    specification = databases.specification
    source = load.from_[0].source or next(iter(specification.named_sources))
    if source not in databases.sources:
        return None
    relations = [
        _relation(databases.sources[source], load, position, problems)
        for position in range(len(load.from_))
    ]
    target_name = specification.target_table(name)
    table = read_relation(databases.target, target_name)
    if table is None:
        problems.append(
            load.problem(
                f"the target has no table '{target_name}'",
                *(("into",) if load.into else ()),
                code=ErrorCode.TRANS_004,
                remedy="create it, or name the right one with 'into'" + quoting_hint(target_name),
            )
        )
        return None
    return LoadCatalog(source, tuple(filter(None, relations)), table)


def _relation(
    source: Source, load: Load, position: int, problems: list[Problem]
) -> Relation | None:
    try:
        return source.relation(load.from_[position])
    except NoSuchRelation as error:
        below = ("from", position, error.key)
        problems.append(load.problem(error.message, *below, code=error.code, remedy=error.remedy))
        return None


def _placeholder_problems(
    target: psycopg.Connection[Any],
    specification: Specification,
    programs: Mapping[str, LoadProgram],
) -> Iterator[Problem]:
    """The problems of placeholders that the target would refuse, or that differ between fields."""
    values_by_table: dict[str, tuple[tuple[str, str], ...]] = {}
    for name, program in programs.items():
        for compiled in program.fields:
            reference = compiled.reference
            if reference is None or reference.on_missing is not OnMissing.PLACEHOLDER:
                continue
            field = specification.tables[name].fields[compiled.name]
            problem = partial(field.problem, code=ErrorCode.TRANS_004)
            lacking = unfillable_columns(reference)
            if lacking:
                names = ", ".join(c.name for c in lacking)
                values = ", ".join(f"{c.name}: VALUE" for c in lacking)
                yield problem(
                    f"a placeholder can't be made: the parent's columns {names} are NOT NULL and"
                    " have no default",
                    "on_missing",
                    remedy=f"give them values: on_missing: {{placeholder: {{{values}}}}}",
                )
            for column, wrong in refused_values(target, reference).items():
                yield problem(
                    f"a placeholder's '{column}': {wrong}",
                    "on_missing",
                    remedy="correct it, or leave it out",
                )
            first = values_by_table.setdefault(str(reference.table), reference.placeholder)
            if first != reference.placeholder:
                yield problem(
                    f"placeholders of {reference.table} have other values elsewhere, so which are"
                    " written would depend on timing",
                    "on_missing",
                    remedy="give all fields that refer to it the same values",
                )
