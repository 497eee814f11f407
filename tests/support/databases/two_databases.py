"""A legacy database and a target database, and migrations from the one into the other."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pipelines import migrate, read_specification
from pipelines.run.outcome import RunOutcome
from schemas.errors import ExitStatus, TransfuseError
from transforms.postgres.session_settings import SESSION_SETTINGS

HEADER = """
job: moved
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {retry: {attempts: 1, delay: 10ms}}
"""

SMALL_PARTITIONS = HEADER.replace(
    "attempts: 1, delay: 10ms}}", "attempts: 1, delay: 10ms}, memory: 2621440}"
)
"""The header with little memory: a few thousand rows are several partitions."""


_numbers = itertools.count(1)

Row = tuple[Any, ...]


def impatient(header: str, seconds: int) -> str:
    """The header with a target that waits so long for a lock: only its URL can say so, because a
    session doesn't take the time-outs of the database."""
    option = f"&options=-c%20lock_timeout%3D{seconds}s"
    return header.replace('"${TARGET_URL}"', f'"${{TARGET_URL}}{option}"')


@dataclass(frozen=True)
class Database:
    """One database: scripts go in, rows come out, under the settings of every session."""

    url: str

    def run(self, script: str) -> None:
        """Executes statements without parameters; a percent sign is a percent sign."""
        self.connection.execute(script.encode())

    def rows(self, query: str) -> list[Row]:
        return self.connection.execute(query.encode()).fetchall()

    def row(self, query: str) -> Row:
        """The only row of a query."""
        (found,) = self.rows(query)
        return found

    def values(self, query: str) -> list[Any]:
        """The single column of a query."""
        return [value for (value,) in self.rows(query)]

    @property
    def name(self) -> str:
        return str(conninfo_to_dict(self.url)["dbname"])

    @cached_property
    def connection(self) -> psycopg.Connection[Row]:
        return self.another()

    def hang_up(self) -> None:
        """Closes ``connection``, for which a server that drops the database waits long."""
        if "connection" in self.__dict__:
            self.connection.close()

    def fill_up(self, table: str, condition: str = "true") -> None:
        """Has transactions with a row that meets ``condition`` (``new.id = 1``) refused as if the
        disk were full: from that row on, every row."""
        self.run(
            "CREATE SEQUENCE full_in;"
            "CREATE FUNCTION fills_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            f" $$ BEGIN IF {condition} THEN PERFORM setval('full_in', txid_current()); END IF;"
            # Another transaction may have set it meanwhile.
            f"  IF {condition} OR (SELECT last_value FROM full_in) = txid_current() THEN"
            "  RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END IF; RETURN new; END $$;"
            f"CREATE TRIGGER fills_up BEFORE INSERT ON {table} FOR EACH ROW"
            " EXECUTE FUNCTION fills_up()"
        )

    def make_room(self, table: str) -> None:
        """Takes ``fill_up`` back."""
        self.run(f"DROP TRIGGER fills_up ON {table}; DROP FUNCTION fills_up; DROP SEQUENCE full_in")

    def another(self) -> psycopg.Connection[Row]:
        """A connection of its own, for the caller to close."""
        options = " ".join(
            f"-c {name}={value.replace(' ', '')}" for name, value in SESSION_SETTINGS.items()
        )
        return psycopg.connect(self.url, autocommit=True, options=options, application_name="test")


@dataclass(frozen=True)
class TwoDatabases:
    """``legacy`` and ``target``, and a folder for specifications."""

    legacy: Database
    target: Database
    folder: Path

    @classmethod
    def at(cls, legacy: str, target: str, folder: Path) -> TwoDatabases:
        """The databases at two URLs."""
        return cls(Database(legacy), Database(target), folder)

    @property
    def variables(self) -> dict[str, str]:
        return {"LEGACY_URL": self.legacy.url, "TARGET_URL": self.target.url}

    def write(self, specification: str, header: str = HEADER) -> Path:
        """Stores a specification: ``header`` and the rest, or a whole one without a header."""
        path = self.folder / "specification.yaml"
        path.write_text(header + specification, encoding="utf-8")
        return path

    def migrate(
        self,
        specification: str,
        only: Sequence[str] = (),
        header: str = HEADER,
        expected: ExitStatus = ExitStatus.COMPLETE,
        job: str | None = None,
    ) -> RunOutcome:
        """Runs a migration that is to end as ``expected``; every count of it must add up."""
        path = self.write(specification, header)
        outcome = migrate(read_specification(path, self.variables, job), only=only)
        told = "\n".join(map(str, outcome.problems))
        assert outcome.status is expected, f"{outcome.status!r}, not {expected!r}: {told}"
        for name, load in outcome.summary.tables.items():
            assert load.candidates == load.accepted + load.rejected + load.skipped, name
            if specification.find("unpivot:") < 0 and specification.find("split:") < 0:
                assert load.read == load.candidates + load.empty, name
            if expected is ExitStatus.COMPLETE and not only:
                assert load.partitions_done == load.partitions > 0, name
            if expected is not ExitStatus.OUT_OF_BALANCE:
                assert load.written == load.accepted + load.expanded, name
        return outcome

    def refused(self, specification: str, header: str = HEADER) -> TransfuseError:
        """The error of a migration that must not start: exit status 2."""
        path = self.write(specification, header)
        with pytest.raises(TransfuseError) as raised:
            migrate(read_specification(path, self.variables))
        assert raised.value.status is ExitStatus.REFUSED, raised.value
        return raised.value

    def assert_same_rows(self, legacy_query: str, target_query: str) -> None:
        """The two queries give the same rows, each as often: EXCEPT ALL finds none either way."""
        connection = self.target.connection
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMP TABLE source ON COMMIT DROP AS {target_query} LIMIT 0")
            with (
                self.legacy.connection.cursor().copy(f"COPY ({legacy_query}) TO STDOUT") as given,
                cursor.copy("COPY pg_temp.source FROM STDIN") as taken,
            ):
                for block in given:
                    taken.write(block)
            for one, other, what in (
                ("TABLE pg_temp.source", target_query, "lost"),
                (target_query, "TABLE pg_temp.source", "made up"),
            ):
                found = cursor.execute(f"({one}) EXCEPT ALL ({other})").fetchmany(3)
                assert not found, f"{what}, among others: {found}"

    def errors(self, columns: str = "load, source_key, error_code, rule_id, reason") -> list[Row]:
        """Violations that are no warnings, in order."""
        return self.target.rows(
            f"SELECT {columns} FROM migration.migration_errors WHERE NOT warning ORDER BY {columns}"
        )

    def warnings(self, columns: str = "load, source_key, error_code, rule_id, reason") -> list[Row]:
        return self.target.rows(
            f"SELECT {columns} FROM migration.migration_errors WHERE warning ORDER BY {columns}"
        )


@contextmanager
def two_databases(server: str, folder: Path) -> Iterator[TwoDatabases]:
    """Two empty databases on the server of that URI, dropped in the end."""
    names = [f"p{os.getpid()}_{next(_numbers)}_{part}" for part in ("legacy", "target")]
    host = conninfo_to_dict(server)["host"]
    databases = [Database(f"postgresql://postgres@/{name}?host={host}") for name in names]
    with psycopg.connect(server, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            legacy, target = databases
            yield TwoDatabases(legacy, target, folder)
        finally:
            for name, database in zip(names, databases, strict=True):
                database.hang_up()
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
