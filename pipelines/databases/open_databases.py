"""The databases of a specification, opened for one command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg

from pipelines.connections.blocking import Opened, log_blockers_of_launcher
from pipelines.connections.patient_connections import connect_patiently
from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import TransfuseError
from schemas.referring_tables import read_foreign_keys
from schemas.specification.load_order import ForeignKey, levels, prerequisites
from schemas.specification.root import Specification
from schemas.specification.source import NamedSource
from transforms.model.session_names import ProcessSessions, session_name
from transforms.postgres.refused_logins import forget_refused_logins
from transforms.postgres.row_security import WHOLE_TABLES
from transforms.sources.files.file_source import FileSource
from transforms.sources.files.formats import file_format
from transforms.sources.files.opening import is_remote
from transforms.sources.postgres.postgres_source import PostgresSource
from transforms.sources.source_access import Source


@dataclass(frozen=True)
class Databases:
    """The open databases of a command.

    Attributes:
        specification: It names them.
        sources: Each source as it was at one instant, by name.
        target: A connection to the target.
        foreign_keys: Those of the target between tables of the specification.
    """

    specification: Specification
    sources: Mapping[str, Source]
    target: psycopg.Connection[Any]
    foreign_keys: frozenset[ForeignKey]

    @cached_property
    def ledger(self) -> JobLedger:
        """The job's control tables, over the connection to the target."""
        return JobLedger(self.target, self.specification)

    @cached_property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """For each load the loads that must be complete before it."""
        needed = prerequisites(self.specification, self.foreign_keys)
        return {name: tuple(sorted(loads)) for name, loads in needed.items()}

    @cached_property
    def levels(self) -> Mapping[str, int]:
        """The level of each load, from 0, in the order in which they run."""
        ordered = levels(self.specification, self.foreign_keys)
        return {name: number for number, level in enumerate(ordered) for name in level}


@contextmanager
def open_databases(specification: Specification) -> Iterator[Databases]:
    """Open all sources and the target until the context ends.

    Snapshots of sources live as long: all workers read each source as it was at one instant.

    Args:
        specification: It names the databases; paths start from its folder.

    Yields:
        The open databases.

    Raises:
        TransfuseError: A CONN code, exit status 3.
    """
    forget_refused_logins()
    with ExitStack() as stack:
        try:
            databases = _open_all(specification, stack)
        except TransfuseError as error:
            if not specification.deferred_problems:
                raise
            # A problem of the specification itself needs no server to be reported.
            raise TransfuseError([*specification.deferred_problems, *error.problems]) from None
        watcher = session_name(ProcessSessions.verb, specification.job, part="watcher")
        with log_blockers_of_launcher(_sessions(databases), watcher):
            yield databases


def _sessions(databases: Databases) -> dict[str, Opened]:
    """The launcher's sessions by the names of their databases in messages."""
    sessions = {
        "the source" if name == "source" else f"the source '{name}'": Opened(
            source.address.url, source.connection
        )
        for name, source in databases.sources.items()
        if isinstance(source, PostgresSource)
    }
    target = Opened(databases.specification.target.url, databases.target)
    return {**sessions, "the target": target}


def _open_all(specification: Specification, stack: ExitStack) -> Databases:
    target = stack.enter_context(
        closing(connect_patiently(specification, specification.target.url))
    )
    sources = {
        name: stack.enter_context(closing(_open_source(specification, source)))
        for name, source in specification.named_sources.items()
    }
    return Databases(specification, sources, target, _read_keys(target, specification))


def _read_keys(
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


def _open_source(specification: Specification, source: NamedSource) -> Source:
    if source.path is None:
        url = source.url or ""
        return PostgresSource(connect_patiently(specification, url, WHOLE_TABLES), url)
    path = source.path if is_remote(source.path) else str(specification.folder / source.path)
    return FileSource(path, file_format(source), source.follow_links)
