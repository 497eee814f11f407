"""What the loads read of each PostgreSQL source: relations by name, and their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pipelines.databases.open_databases import Databases
from schemas.catalog import Relation
from transforms.model.program import LoadProgram
from transforms.sources.postgres.postgres_source import PostgresSource


@dataclass
class SourceUse:
    """A relation that loads read, and the columns that they read of it."""

    relation: Relation
    loads: list[str] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)


@dataclass
class SourceServer:
    """A source as problems name it, its session, and the relations that loads read there.

    ``stored`` are tables and views, by qualified name. ``queries`` are those of the loads.
    """

    place: str
    connection: psycopg.Connection[Any]
    stored: dict[tuple[str, str], SourceUse] = field(default_factory=dict)
    queries: list[SourceUse] = field(default_factory=list)

    @property
    def relations(self) -> Iterator[SourceUse]:
        yield from self.stored.values()
        yield from self.queries

    def where(self, use: SourceUse) -> str:
        """The relation as problems name it."""
        if use.relation.query is not None:
            return f"{self.place}, query of {', '.join(use.loads)}"
        return f"{self.place}, {use.relation}"


def source_servers(
    databases: Databases, programs: Mapping[str, LoadProgram]
) -> Iterator[SourceServer]:
    """The PostgreSQL sources, each with what the programs read of it."""
    several = len(databases.sources) > 1
    for name, source in databases.sources.items():
        if not isinstance(source, PostgresSource):
            continue
        server = SourceServer(f"source {name}" if several else "source", source.connection)
        for program in programs.values():
            if program.source == name:
                _add(server, program)
        yield server


def _add(server: SourceServer, program: LoadProgram) -> None:
    columns = dict.fromkeys([*program.stored_columns, *(program.partition_by or ())])
    for relation in program.relations:
        if relation.query is not None:
            server.queries.append(SourceUse(relation, [program.name], dict(columns)))
            continue
        key = (relation.schema, relation.name)
        use = server.stored.setdefault(key, SourceUse(relation))
        use.loads.append(program.name)
        use.columns |= columns
