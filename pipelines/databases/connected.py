"""The databases of a specification: connected, described, and compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from pipelines.databases.blocking import Opened, blockers_of_launcher_logged
from schemas.catalog import Relation
from schemas.catalog_reader import read_relation
from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.referring_tables import read_foreign_keys
from schemas.relation_names import quoting_hint
from schemas.specification.load_order import ForeignKey, levels, prerequisites
from schemas.specification.policies import OnMissing
from schemas.specification.root import Specification
from schemas.specification.source import NamedSource
from schemas.specification.table import Load
from schemas.sql.expressions import FIX
from transforms.compiling.load import compile_load, sql_constants
from transforms.compiling.load_facts import LoadCatalog, LoadFacts
from transforms.model.program import LoadProgram
from transforms.model.run_context import Retrying
from transforms.postgres.connections import connect
from transforms.postgres.refused_logins import forget_refused_logins
from transforms.postgres.retries import retried
from transforms.postgres.row_security import WHOLE_TABLES
from transforms.references.placeholders import refused_values, unfillable_columns
from transforms.sources.files.file_source import FileSource
from transforms.sources.files.formats import file_format
from transforms.sources.files.opening import is_remote
from transforms.sources.postgres.postgres_source import PostgresSource
from transforms.sources.source_access import NoSuchRelation, Source


@dataclass(frozen=True)
class Connected:
    """What a launcher has open: each source as it was at one instant, and the target.

    ``foreign_keys`` are those of the target between tables of the specification.
    """

    specification: Specification
    folder: Path
    sources: Mapping[str, Source]
    target: psycopg.Connection[Any]
    foreign_keys: frozenset[ForeignKey]


@dataclass(frozen=True)
class Lookups:
    """The lookup tables of a specification by name, and what is wrong with those that aren't
    there."""

    tables: Mapping[str, LookupTable] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


@contextmanager
def connected(specification: Specification, folder: Path) -> Iterator[Connected]:
    """Opens all sources and the target.

    Snapshots of sources live as long as the context: what every worker reads is one instant.
    Raises TransfuseError (exit status 3) with a CONN code.
    """
    forget_refused_logins()
    with ExitStack() as stack:
        try:
            databases = _open_all(specification, folder, stack)
        except TransfuseError as error:
            if not specification.deferred_problems:
                raise
            # What is wrong with the specification itself needs no server to be reported.
            raise TransfuseError([*specification.deferred_problems, *error.problems]) from None
        with blockers_of_launcher_logged(_sessions(databases)):
            yield databases


def _sessions(databases: Connected) -> dict[str, Opened]:
    """The launcher's sessions by what messages call their databases."""
    sessions = {
        "the source" if name == "source" else f"the source '{name}'": Opened(
            source.address.url, source.connection
        )
        for name, source in databases.sources.items()
        if isinstance(source, PostgresSource)
    }
    return {
        **sessions,
        "the target": Opened(databases.specification.target.url, databases.target),
    }


def _open_all(specification: Specification, folder: Path, stack: ExitStack) -> Connected:
    target = stack.enter_context(
        closing(connect_patiently(specification, specification.target.url))
    )
    sources = {}
    for name, source in specification.named_sources.items():
        sources[name] = stack.enter_context(closing(_opened(specification, folder, source)))
    foreign_keys = _foreign_keys(target, specification)
    return Connected(specification, folder, sources, target, foreign_keys)


def _foreign_keys(
    target: psycopg.Connection[Any], specification: Specification
) -> frozenset[ForeignKey]:
    into = {name: specification.target_table(name) for name in specification.tables}
    tables = read_foreign_keys(target, sorted(set(into.values())))
    return frozenset(
        (child, parent)
        for child, table in into.items()
        for parent, other in into.items()
        if (table, other) in tables
    )


def _opened(specification: Specification, folder: Path, source: NamedSource) -> Source:
    if source.path is None:
        url = source.url or ""
        return PostgresSource(connect_patiently(specification, url, WHOLE_TABLES), url)
    path = source.path if is_remote(source.path) else str(folder / source.path)
    return FileSource(path, file_format(source), source.follow_links)


def connect_patiently(
    specification: Specification, url: str, settings: Mapping[str, str] | None = None
) -> psycopg.Connection[Any]:
    """A connection, tried as often as ``limits.retry`` says. Raises TransfuseError (CONN)."""
    return retried(retrying_of(specification), lambda: connect(url, settings=settings))


def retrying_of(specification: Specification) -> Retrying:
    """``limits.retry`` as the steps and the launcher take it."""
    return Retrying(specification.limits.retry.attempts, specification.limits.retry.delay)


def compile_programs(
    databases: Connected, started_at: str, lookups: Lookups | None = None
) -> dict[str, LoadProgram]:
    """Compiles all loads against the catalogues; ``started_at`` is ISO 8601 with a zone.

    ``lookups`` are the lookup tables that they use; who runs no load needs none.
    Raises TransfuseError (exit status 2) with TRANS-001, TRANS-004 and SYS-004 for
    everything in the whole specification that doesn't fit, at once.
    """
    programs, problems = compile_loads(databases, started_at, lookups)
    if problems:
        raise TransfuseError(problems)
    return programs


def compile_loads(
    databases: Connected, started_at: str, lookups: Lookups | None = None
) -> tuple[dict[str, LoadProgram], list[Problem]]:
    """Compiles the loads that fit the catalogues, and says what is wrong with all others.

    Args:
        databases: the open sources and the target.
        started_at: the moment at which the job began, ISO 8601 with a zone.
        lookups: the lookup tables that the loads use.

    Returns:
        The programs by load, and every problem of the specification.
    """
    specification = databases.specification
    lookups = lookups or Lookups()
    problems: list[Problem] = list(lookups.problems)
    catalogs: dict[str, LoadCatalog] = {}
    for name, load in specification.tables.items():
        described = _catalog(databases, name, load, problems)
        if described is not None:
            catalogs[name] = described
    constants = sql_constants(specification.job, started_at)
    programs = {}
    for name, catalog in catalogs.items():
        if len(catalog.relations) < len(specification.tables[name].from_):
            continue
        folder = str(databases.folder.resolve())
        facts = LoadFacts(specification, name, catalogs, lookups=lookups.tables)
        program = _compile(facts, constants, folder)
        problems += facts.problems
        if program is not None:
            programs[name] = program
    problems = _with_deferred(problems, specification.deferred_problems)
    if not problems:
        problems += _impossible_placeholders(databases.target, specification, programs)
    return programs, problems


def _compile(facts: LoadFacts, constants: Mapping[str, str], folder: str) -> LoadProgram | None:
    """Compiles a load, as far as it can be compiled where it has problems that are known."""
    try:
        return compile_load(facts, constants, folder)
    except Exception:
        if not facts.specification.deferred_problems:
            raise
        # It is reported already, and what fails here may follow from it.
        return None


def _with_deferred(problems: list[Problem], deferred: Sequence[Problem]) -> list[Problem]:
    """All problems, each once: the deferred ones say more of a place than what follows there."""
    known = {problem.where for problem in deferred if problem.remedy != FIX}
    return [
        *deferred,
        *(p for p in problems if p not in deferred and p.where not in known),
    ]


def _catalog(
    databases: Connected, name: str, load: Load, problems: list[Problem]
) -> LoadCatalog | None:
    """What there is of a load: None without source or target table, to which others may refer."""
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


def _impossible_placeholders(
    target: psycopg.Connection[Any],
    specification: Specification,
    programs: Mapping[str, LoadProgram],
) -> Iterator[Problem]:
    given: dict[str, tuple[tuple[str, str], ...]] = {}
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
            known = given.setdefault(str(reference.table), reference.placeholder)
            if known != reference.placeholder:
                yield problem(
                    f"placeholders of {reference.table} have other values elsewhere, so which are"
                    " written would depend on timing",
                    "on_missing",
                    remedy="give all fields that refer to it the same values",
                )


def needs_of(databases: Connected) -> dict[str, tuple[str, ...]]:
    """For each load the loads that must be complete before it."""
    needed = prerequisites(databases.specification, databases.foreign_keys)
    return {name: tuple(sorted(loads)) for name, loads in needed.items()}


def level_of(databases: Connected) -> dict[str, int]:
    """The level of each load, from 0."""
    found = levels(databases.specification, databases.foreign_keys)
    return {name: number for number, level in enumerate(found) for name in level}
