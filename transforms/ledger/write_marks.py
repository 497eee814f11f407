"""Marks of the subtransactions that write rows, by which ``reset`` knows whose a row is.

PostgreSQL keeps with each row the number of the (sub)transaction that wrote it (``xmin``), and
nothing gives a session the number of its current subtransaction. So a writer of rows adds a
mark in the same one: the mark has the same ``xmin``, and is taken back with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import psycopg
from psycopg import sql

from schemas.catalog import Relation


class WrittenAs(str, Enum):
    """Why rows of a table were written: for a load's own candidates, in the place of a missing
    parent, or again to fill in references of a table to itself. ``OTHERS`` are rows that triggers
    have changed meanwhile, whosever they are."""

    ROWS = "rows"
    PLACEHOLDERS = "placeholders"
    REFERENCES = "references"
    OTHERS = "others"


@dataclass(frozen=True)
class WriteMarks:
    """Adds marks to ``marks``, a control table, for rows of one partition in one table.

    ``partition`` is empty for what concerns a whole load.
    """

    marks: sql.Identifier
    job: str
    load: str
    partition: str
    table: Relation
    written_as: WrittenAs = WrittenAs.ROWS

    def add(self, connection: psycopg.Connection, written: int, inserted: int) -> None:
        """Marks the current subtransaction, in which ``written`` rows were written.

        Args:
            connection: the target, still in the subtransaction that wrote them.
            written: the number of rows.
            inserted: how many of them are new.

        Raises:
            psycopg.Error: the server can't be reached or refuses the mark.
        """
        if written:
            connection.execute(self.statement(sql.Literal(written), sql.Literal(inserted)))

    def statement_of_others(self, changed: sql.Composable) -> sql.Composed:
        """The statement that adds a mark if triggers have changed further rows, which SQL says."""
        others = replace(self, written_as=WrittenAs.OTHERS)
        return sql.SQL("{} WHERE {}").format(
            others._selection(sql.Literal(1), sql.Literal(0)), changed
        )

    def statement(self, written: sql.Composable, inserted: sql.Composable) -> sql.Composed:
        """The statement that adds a mark, for PL/pgSQL too; the numbers are SQL expressions."""
        return self._selection(written, inserted)

    def _selection(self, written: sql.Composable, inserted: sql.Composable) -> sql.Composed:
        return sql.SQL(
            "INSERT INTO {} (job_id, load, partition_id, relation, written_as, written, inserted)"
            " SELECT {}, {}, {}, {}::regclass::oid::int8, {}, {}, {}"
        ).format(
            self.marks,
            sql.Literal(self.job),
            sql.Literal(self.load),
            sql.Literal(self.partition),
            sql.Literal(self.table.sql.as_string()),
            sql.Literal(self.written_as.value),
            written,
            inserted,
        )
