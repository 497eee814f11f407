"""The loads of a job in ``migration_loads``: which are planned, begun and complete, and of what."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from pipelines.ledger.job_row import JobRow
from transforms.ledger.ledger_session import LedgerSession
from transforms.model.partition import Partition

SourceState = Sequence[Mapping[str, Any]]
"""The state of a load's relations when its rows were counted."""


@dataclass(frozen=True)
class NewLoad:
    """A load that is planned.

    Attributes:
        name: The load.
        level: The level in which it runs.
        target_table: Its table with the schema.
        definition: What of the specification decides how its rows come out, as JSON has it.
        source_rows: How many rows its relations have.
        source_state: The state in which they were counted.
        rows_before: How many rows its table had before the job.
        is_compared: Whether no pass that compares its rows is needed.
    """

    name: str
    level: int
    target_table: str
    definition: Mapping[str, Any]
    source_rows: int
    source_state: SourceState
    rows_before: int
    is_compared: bool


@dataclass(frozen=True)
class StoredDefinition:
    """The definition of a planned load.

    Attributes:
        load: Its name.
        definition: As ``NewLoad`` has it.
        source_state: As ``NewLoad`` has it.
        is_begun: Whether one of its partitions is committed.
        is_done: Whether all of them are.
        is_without_skips: Whether no row of it was skipped.
    """

    load: str
    definition: dict[str, Any]
    source_state: SourceState
    is_begun: bool
    is_done: bool
    is_without_skips: bool


@dataclass(frozen=True)
class UnfinishedLoad:
    """A load with open partitions.

    Attributes:
        name: The load.
        source_state: The state in which its source was planned.
        is_begun: Whether one of its partitions is committed.
        has_source_error: Whether the source raised an error in one of its expressions.
    """

    name: str
    source_state: SourceState
    is_begun: bool
    has_source_error: bool


@dataclass(frozen=True)
class FilledTable:
    """A table of the target with the loads that go into it, and its rows before the job."""

    name: str
    loads: Sequence[str]
    rows_before: int


@dataclass(frozen=True)
class LoadRows:
    """Reads and writes the loads of the session's job."""

    session: LedgerSession

    def read_planned(self) -> frozenset[str]:
        """Read the loads whose plans are stored."""
        return self._names("SELECT load FROM {migration_loads} WHERE job_id = %(job)s")

    def read_complete(self) -> frozenset[str]:
        """Read the loads whose rows all are in the target, and whose references are settled."""
        return self._names(f"{_DONE} AND settled")

    def read_done(self) -> frozenset[str]:
        """Read the loads whose partitions are all committed, settled or not."""
        return self._names(_DONE)

    def read_begun(self) -> frozenset[str]:
        """Read the loads of which a partition is committed."""
        return self._names(
            "SELECT DISTINCT load FROM {migration_partitions} WHERE job_id = %(job)s"
            " AND state = 'done'"
        )

    def read_uncompared(self) -> frozenset[str]:
        """Read the loads whose rows have still to be compared with each other."""
        return self._names(
            "SELECT load FROM {migration_loads} WHERE job_id = %(job)s AND NOT compared"
        )

    def read_definitions(self) -> list[StoredDefinition]:
        """Read the definitions of all loads with partitions, by name."""
        rows = self.session.execute(
            "SELECT l.load, l.definition, l.source_state,"
            " bool_or(p.state = 'done'), bool_and(p.state = 'done'),"
            " coalesce(sum(p.skipped), 0) = 0"
            " FROM {migration_loads} l JOIN {migration_partitions} p USING (job_id, load)"
            " WHERE job_id = %(job)s GROUP BY load, definition, source_state ORDER BY load"
        ).fetchall()
        return [StoredDefinition(row[0], json.loads(row[1]), *row[2:]) for row in rows]

    def read_order(self) -> list[tuple[str, int, dict[str, Any], int]]:
        """Read name, level, definition and rows before the job, in the order of the levels."""
        rows = self.session.execute(
            "SELECT load, level, definition, target_rows_before FROM {migration_loads}"
            " WHERE job_id = %(job)s ORDER BY level, load"
        ).fetchall()
        return [(name, level, json.loads(text), before) for name, level, text, before in rows]

    def read_unfinished(self) -> list[UnfinishedLoad]:
        """Read the loads with open partitions, by name."""
        rows = self.session.execute(
            "SELECT l.load, l.source_state, count(*) FILTER (WHERE p.state = 'done') > 0,"
            " coalesce(bool_or(p.state <> 'done' AND p.error_code = 'SYS-004'"
            " AND p.error LIKE '%%, in the source%%'), false)"
            " FROM {migration_loads} l JOIN {migration_partitions} p USING (job_id, load)"
            " WHERE job_id = %(job)s GROUP BY l.load, l.source_state"
            " HAVING count(*) FILTER (WHERE p.state <> 'done') > 0 ORDER BY l.load"
        ).fetchall()
        return [UnfinishedLoad(*row) for row in rows]

    def read_tables(self) -> list[FilledTable]:
        """Read the target tables of all planned loads."""
        rows = self.session.execute(
            "SELECT target_table, array_agg(load ORDER BY load), min(target_rows_before)::int8"
            " FROM {migration_loads} WHERE job_id = %(job)s GROUP BY target_table"
        ).fetchall()
        return [FilledTable(*row) for row in rows]

    def read_source_rows(self) -> dict[str, int]:
        """Read how many rows the source counted when it planned each load, by load."""
        rows = self.session.execute(
            "SELECT load, source_rows FROM {migration_loads} WHERE job_id = %(job)s ORDER BY load"
        ).fetchall()
        return dict(rows)

    def store_plan(self, load: NewLoad, partitions: Sequence[Partition]) -> None:
        """Store a load and its partitions, in one transaction."""
        session = self.session
        with session.connection.transaction():
            session.execute(
                "INSERT INTO {migration_loads} (job_id, load, level, target_table, definition,"
                " source_rows, source_state, target_rows_before, compared)"
                " VALUES (%(job)s, %(load)s, %(level)s, %(table)s, %(definition)s,"
                " %(source_rows)s, %(source_state)s, %(rows_before)s, %(is_compared)s)",
                {
                    "load": load.name,
                    "level": load.level,
                    "table": load.target_table,
                    "definition": json.dumps(load.definition),
                    "source_rows": load.source_rows,
                    "source_state": Jsonb(load.source_state),
                    "rows_before": load.rows_before,
                    "is_compared": load.is_compared,
                },
            )
            with session.connection.cursor() as cursor:
                cursor.executemany(
                    session.compose(
                        "INSERT INTO {migration_partitions} (job_id, load, partition_id,"
                        " relation, predicate, planned_rows) VALUES (%s, %s, %s, %s, %s, %s)"
                    ),
                    [
                        (session.job, p.load, p.id, p.relation, p.predicate, p.rows)
                        for p in partitions
                    ],
                )

    def store_definition(self, load: str, definition: Mapping[str, Any]) -> None:
        """Replace the stored definition of a load, as JSON has it."""
        self.session.execute(
            "UPDATE {migration_loads} SET definition = %(definition)s WHERE job_id = %(job)s"
            " AND load = %(load)s",
            {"definition": json.dumps(definition), "load": load},
        )

    def forget_plan(self, load: str) -> bool:
        """Delete the plan of a load of which nothing is committed, in one transaction.

        Returns:
            Whether it was deleted; False where a partition of it is committed.
        """
        session = self.session
        with session.connection.transaction():
            states = session.execute(
                "SELECT state FROM {migration_partitions} WHERE job_id = %(job)s"
                " AND load = %(load)s FOR UPDATE",
                {"load": load},
            ).fetchall()
            if ("done",) in states:
                return False
            for table in _PLAN_TABLES:
                session.execute(
                    f"DELETE FROM {{{table}}} WHERE job_id = %(job)s AND load = %(load)s",
                    {"load": load},
                )
        return True

    def mark_referenced(self, loads: Collection[str]) -> None:
        """Mark the violations of loads as possible causes, which no load referred to before."""
        self.session.execute(
            "UPDATE {migration_errors} SET referenced = true WHERE job_id = %(job)s"
            " AND load = ANY(%(loads)s) AND NOT referenced",
            {"loads": list(loads)},
        )

    def _names(self, query: str) -> frozenset[str]:
        """The loads that a query gives; none where the job hasn't run."""
        if JobRow(self.session).read() is None:
            return frozenset()
        return frozenset(name for (name,) in self.session.execute(query).fetchall())


_PLAN_TABLES = (
    "migration_partitions",
    "migration_duplicates",
    "migration_group_findings",
    "migration_loads",
)

_DONE = (
    "SELECT load FROM {migration_loads} l WHERE job_id = %(job)s"
    " AND NOT EXISTS (SELECT FROM {migration_partitions} p WHERE p.job_id = l.job_id"
    " AND p.load = l.load AND p.state <> 'done')"
)
