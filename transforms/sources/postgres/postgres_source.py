"""A PostgreSQL database as a source: read under one exported snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import psycopg
from psycopg import sql

from schemas.catalog import Relation
from schemas.catalog_reader import read_query, read_relation
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.relation_names import quoting_hint
from schemas.specification.database_url import url_place
from schemas.specification.named_relation import NamedRelation
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.slices import PartitionBounds
from transforms.model.source_address import SourceAddress
from transforms.model.source_rows import SourceRows
from transforms.postgres.connections import pin_server
from transforms.postgres.database_problems import RECOVERY_CONFLICT
from transforms.postgres.row_security import query_refusal
from transforms.postgres.snapshot import GONE, Snapshot, SnapshotGone, export_snapshot
from transforms.sources.entered_row import as_candidates, entered_relation
from transforms.sources.postgres.key_conditions import NoSourceKey, rows_with
from transforms.sources.postgres.large_values import may_be_too_large
from transforms.sources.postgres.partition_plan import partitions_of
from transforms.sources.postgres.partition_reader import open_source, read_partition
from transforms.sources.postgres.postgres_state import difference, source_state
from transforms.sources.postgres.read_access import read_access
from transforms.sources.postgres.source_row import read_source_row
from transforms.sources.source_access import NoSuchRelation, Source, changed_source
from transforms.sources.stored_row_reader import StoredRowReader


@dataclass(frozen=True)
class PostgresAddress(SourceAddress):
    """The URL, and the exported snapshot to read under."""

    url: str = field(repr=False)
    exported: Snapshot

    @property
    def snapshot(self) -> str:
        return self.exported.name

    def open(self, session_name: str = "") -> PostgresReader:
        """Raises SnapshotGone, and adbc_driver_manager.Error if the server can't be reached."""
        return PostgresReader(lambda: open_source(self.url, self.exported, session_name))


class PostgresReader(StoredRowReader):
    """Reads through ADBC. After an adbc_driver_manager.Error it is of no more use."""

    def __init__(self, connect: Callable[[], adbc_driver_postgresql.dbapi.Connection]) -> None:
        self._connect = connect
        self._connection = connect()

    def read_stored(
        self, program: LoadProgram, partition: Partition, columns: Sequence[str]
    ) -> SourceRows:
        relation = program.relations[partition.relation]
        ordered = partition.limit is None and program.sorts(relation)
        return self._read(program, relation, columns, partition, ordered)

    def _read(
        self,
        program: LoadProgram,
        relation: Relation,
        columns: Sequence[str],
        partition: Partition,
        ordered: bool = False,
    ) -> SourceRows:
        """Read a partition; if a row is too large to be sent, without what makes it so."""
        ctid = program.with_ctid
        try:
            return read_partition(self._connection, relation, columns, partition, ctid, ordered)
        except adbc_driver_manager.Error as error:
            if not may_be_too_large(error):
                raise
            # Its transaction is aborted.
            self._connection.close()
            self._connection = self._connect()
            return read_partition(
                self._connection, relation, columns, partition, ctid, ordered, True
            )

    def stored_row(
        self,
        program: LoadProgram,
        source_key: str,
        columns: Sequence[str],
        partition: Partition | None,
    ) -> SourceRows | None:
        return read_source_row(self._connection, program, source_key, columns, partition)

    def stored_rows(
        self,
        program: LoadProgram,
        source_keys: Sequence[str | None],
        columns: Sequence[str],
        partition: Partition,
    ) -> SourceRows:
        try:
            condition = rows_with(program, source_keys)
        except NoSourceKey:
            # Not which: it may be a patient's number.
            message = "source keys of the error sink are none of the load as it is now"
            remedy = "use the specification that the job ran with"
            where = f"table {program.name}"
            raise TransfuseError(Problem(ErrorCode.USER_001, message, where, remedy)) from None
        if condition is None:
            raise TransfuseError(place_alone(program.name))
        relation = program.relations[partition.relation]
        wanted = replace(partition, predicate=condition)
        return self._read(program, relation, columns, wanted)

    def close(self) -> None:
        self._connection.close()


def place_alone(load: str) -> Problem:
    """What to say of rows that have no key: another order of them would be another row."""
    return Problem(
        ErrorCode.USER_003,
        "its rows are known by their place in a query's result alone, and can't be found again",
        f"table {load}",
        "name columns that identify a row with 'source_key', and remove what is written and start"
        " over",
    )


class PostgresSource(Source):
    """A connection inside the transaction that has exported the snapshot."""

    def __init__(self, connection: psycopg.Connection[Any], url: str) -> None:
        self.connection = connection
        self._url = url
        self._cancelled = False
        # Readers go to the server that has the snapshot.
        self._address = PostgresAddress(pin_server(url, connection), export_snapshot(connection))

    @property
    def address(self) -> PostgresAddress:
        return self._address

    @property
    def place(self) -> str:
        """Host, port and database, for messages."""
        return url_place(self._url)

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """A part of the transaction that can fail without it. Raises psycopg.Error then, and
        SnapshotGone where the transaction is lost."""
        try:
            with self.connection.transaction():
                yield
        except psycopg.Error as error:
            conflict = str(error.sqlstate or "").startswith("40")
            if conflict or self.connection.closed or self._cancelled:
                raise self._snapshot_loss(conflict) from error
            raise

    def _snapshot_loss(self, conflict: bool) -> SnapshotGone:
        failure = RECOVERY_CONFLICT if conflict else None
        problem = (
            GONE if failure is None else Problem(failure.code, failure.message, "", failure.remedy)
        )
        return SnapshotGone(replace(problem, where=self.place), ExitStatus.INCOMPLETE)

    def loss(self) -> Problem | None:
        try:
            with self._savepoint():
                self.connection.execute("SELECT 1")
        except SnapshotGone as gone:
            return gone.problems[0]
        return None

    def relation(self, named: NamedRelation) -> Relation:
        if named.table is not None:
            relation = read_relation(self.connection, named.table)
            if relation is None:
                raise NoSuchRelation(
                    "table",
                    f"the source has no table '{named.table}'",
                    ErrorCode.TRANS_004,
                    "name an existing table, with its schema if it isn't on the search path"
                    + quoting_hint(named.table),
                )
            return self._with_access(relation.as_source())
        try:
            with self._savepoint():
                described = read_query(self.connection, named.query or "").as_source()
        except psycopg.Error as error:
            refusal = query_refusal(self.connection, error, "source")
            raise NoSuchRelation("query", *refusal) from error
        return self._with_access(described)

    def _with_access(self, relation: Relation) -> Relation:
        return replace(relation, access=read_access(self.connection, relation), _by_name={})

    def partitions(self, program: LoadProgram, bounds: PartitionBounds) -> list[Partition]:
        """Raises psycopg.Error too."""
        with self._savepoint():
            return partitions_of(self.connection, program, program.source_bounds(bounds))

    def state(self, program: LoadProgram, partitions: Sequence[Partition]) -> list[dict[str, Any]]:
        del partitions  # The server counts its rows itself, which is a check of their plan.
        with self._savepoint():
            return source_state(self.connection, program)

    def difference(self, program: LoadProgram, stored: Sequence[Mapping[str, Any]]) -> str | None:
        with self._savepoint():
            return difference(self.connection, program, stored)

    def rereading_problem(
        self, program: LoadProgram, stored: Sequence[Mapping[str, Any]]
    ) -> Problem | None:
        if program.source_key:
            return None
        if not program.with_ctid:
            return place_alone(program.name)
        why = self.difference(program, stored)
        remedy = (
            "name columns that identify a row with 'source_key', and remove what is written and"
            " start over"
        )
        return None if why is None else changed_source(program.name, why, remedy)

    def repeated_source_keys(self, program: LoadProgram) -> int:
        key = sql.SQL(", ").join(map(sql.Identifier, program.row_key))
        nulls = sql.SQL(" OR ").join(
            sql.SQL("{} IS NULL").format(sql.Identifier(c)) for c in program.row_key
        )
        parts = [
            sql.SQL("SELECT {} FROM {}").format(key, r.sql)
            for r in program.relations
            if len(program.relations) > 1
            or set(r.primary_key) - set(program.row_key)
            or not r.primary_key
        ]
        if not parts:
            return 0
        query = sql.SQL(
            "SELECT count(*) FROM (SELECT FROM ({rows}) AS k GROUP BY {key}"
            " HAVING count(*) > 1 OR {nulls}) AS repeated"
        ).format(rows=sql.SQL(" UNION ALL ").join(parts), key=key, nulls=nulls)
        with self._savepoint():
            row = self.connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def entered_row(self, program: LoadProgram, row: Mapping[str, Any]) -> SourceRows:
        program = as_candidates(program)
        relation = entered_relation(self.connection, program, row)
        # Not under the snapshot: the row is in the query itself.
        connection = open_source(self._address.url, None)
        try:
            partition = Partition(program.name, "try", "TRUE", 1)
            return read_partition(
                connection, relation, program.columns, partition, program.with_ctid
            )
        finally:
            connection.close()

    def cancel(self) -> None:
        self._cancelled = True
        self.connection.cancel_safe()

    def close(self) -> None:
        self.connection.close()
