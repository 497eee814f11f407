"""The loads of a specification against both servers: compiled, checked, and tried on rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

from pipelines.databases.load_compilation import Lookups, compile_loads
from pipelines.databases.open_databases import Databases
from pipelines.doctor.health_finding import FindingLevel, Observation, finding_of
from pipelines.doctor.machine_health import examine_disk
from pipelines.doctor.reached_server import ReachedServer
from pipelines.doctor.source_data import examine_data
from pipelines.doctor.table_statistics import examine_statistics
from pipelines.doctor.target_indexes import examine_indexes
from pipelines.maps.lookup_tables import read_lookups
from pipelines.planning.load_plans import refuse_repeated_source_keys
from pipelines.preflight.check_servers import check_servers
from pipelines.preflight.source_uses import source_servers
from pipelines.preflight.target_uses import target_uses
from pipelines.preview.plan_scope import PlanScope
from transforms.model.program import LoadProgram
from transforms.sources.postgres.postgres_source import PostgresSource

SAMPLE = 5_000
"""Rows of each load that are read without ``--deep``."""

_SIZES = """
SELECT coalesce(sum(pg_table_size(c.oid)), 0)::int8
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS u(schema, name)
JOIN pg_namespace n ON n.nspname = u.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name AND c.relkind IN ('r', 'm')
"""

_DATA_FOLDER = "SELECT setting FROM pg_settings WHERE name = 'data_directory'"


class LoadsCheck:
    """Checks the loads; ``prepare`` comes first.

    Args:
        databases: The open databases.
        servers: The sessions of the diagnosis with the sources.
        target: That with the target.
        deep: Whether all rows are read.

    Attributes:
        is_ready: Whether all loads could be compiled, and nothing keeps them from running.
        source_bytes: The size of the source's tables, after ``examine_tables``.
    """

    def __init__(
        self,
        databases: Databases,
        servers: Sequence[ReachedServer],
        target: ReachedServer,
        deep: bool,
    ) -> None:
        self._databases = databases
        self._servers = {one.source: one for one in servers if not one.is_target}
        self._target = target
        self._deep = deep
        self._programs: dict[str, LoadProgram] = {}
        self._lookups: Lookups | None = None
        self.is_ready = False
        self.source_bytes = 0

    def prepare(self) -> Iterator[Observation]:
        """Compile the loads and run the checks of the preflight.

        Yields:
            Blockers for what keeps a run from starting, and the preflight's warnings.

        Raises:
            TransfuseError: A server can't be asked.
        """
        self._limit_waits()
        started_at = datetime.now(timezone.utc).isoformat()
        self._lookups = read_lookups(self._databases)
        self._programs, problems = compile_loads(self._databases, started_at, self._lookups)
        findings = check_servers(self._databases, self._programs)
        problems += [finding.problem for finding in findings if finding.blocks]
        self.is_ready = not problems
        for problem in problems:
            yield finding_of(problem, FindingLevel.BLOCKER)
        for finding in findings:
            if not finding.blocks:
                yield finding_of(finding.problem, FindingLevel.WARNING)
        # The preflight reports it as a warning, so it is set after that.
        self._databases.target.execute("SET default_transaction_read_only = on")

    def _limit_waits(self) -> None:
        """Have no statement wait for another session; without ``--deep`` none lasts either."""
        sources = [
            source.connection
            for source in self._databases.sources.values()
            if isinstance(source, PostgresSource)
        ]
        for connection in [*sources, self._databases.target]:
            connection.execute("SET lock_timeout = '2s'")
            if not self._deep:
                connection.execute("SET statement_timeout = '2500ms'")

    def examine_tables(self) -> Iterator[Observation]:
        """Examine indexes and statistics of the tables, and the disk of a target that is local.

        Raises:
            psycopg.Error: A server can't be asked.
        """
        target = self._target.connection
        if self._programs:
            yield from examine_indexes(target, self._programs)
        yield from examine_statistics("target", target, list(target_uses(self._programs)))
        for name, used in zip(
            self._databases_of_servers(),
            source_servers(self._databases, self._programs),
            strict=True,
        ):
            server = self._servers[name]
            tables = list(used.stored)
            yield from examine_statistics(server.place, server.connection, tables)
            values = {"schemas": [one for one, _ in tables], "names": [one for _, one in tables]}
            row = server.connection.execute(_SIZES.encode(), values).fetchone()
            self.source_bytes += row[0] if row else 0
        row = target.execute(_DATA_FOLDER).fetchone()
        if row is not None and row[0] and target.info.host.startswith("/"):
            yield from examine_disk("target", Path(row[0]), self.source_bytes)

    def _databases_of_servers(self) -> list[str]:
        """The names of the PostgreSQL sources, in the order of ``source_servers``."""
        sources = self._databases.sources.items()
        return [name for name, source in sources if isinstance(source, PostgresSource)]

    def examine_rows(self, until: float) -> Iterator[Observation]:
        """Predict what a migration would reject of a sample of rows, or of all.

        Args:
            until: The time (``time.monotonic``) from which no further load is sampled.

        Raises:
            TransfuseError: A source can't give its rows.
        """
        assert self._lookups is not None
        scope = PlanScope(None) if self._deep else PlanScope(SAMPLE, until=until)
        if self._deep:
            # The server reads whole tables for it.
            refuse_repeated_source_keys(self._databases, self._programs)
        yield from examine_data(self._databases, self._programs, self._lookups.tables, scope)
