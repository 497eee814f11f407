"""A batch into the stage: by COPY, or value by value where the target's types refuse some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.catalog import Column
from transforms.postgres.copy_encoding import copy_format
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.copy_in import copy_in
from transforms.target_rows.halves import attempt, bisect_batch
from transforms.target_rows.scratch_tables import ScratchTables
from transforms.target_rows.stage_checks import read_refusals
from transforms.target_rows.stage_tables import (
    COLUMNS_OF_REFUSALS,
    COLUMNS_OF_STANDING,
    LINK,
    MOST_STAGED,
    columns_of_more,
    columns_of_rows,
    columns_of_texts,
)
from transforms.target_rows.target_errors import TargetError
from transforms.target_rows.trace import trace_conversion


class StageFilling:
    """Makes the tables of a stage and copies rows into them.

    ``refused`` are reasons with the ordinals of the candidates that no column type can hold.
    ``wide``: a row is in two tables.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        scratch: ScratchTables,
        columns: Sequence[Column],
        constraints: TargetConstraints,
    ) -> None:
        self._connection = connection
        self._scratch = scratch
        self._columns = columns
        self._constraints = constraints
        self._form = copy_format([c.type for c in columns])
        self._next_link = 0
        self.refused: list[tuple[TargetError, list[int]]] = []
        self.wide = len(columns) > MOST_STAGED
        scratch.create("rows", columns_of_rows(constraints))
        if self.wide:
            scratch.create("more", columns_of_more(constraints))
        scratch.create("refusals", COLUMNS_OF_REFUSALS)
        scratch.create("standing", COLUMNS_OF_STANDING)

    def fill(self, rows: pa.RecordBatch) -> bool:
        """Take in the rows whose values the target's types can hold.

        Returns:
            Whether these are all rows.
        """
        copied = attempt(self._connection, lambda: self.copy(rows))
        if not isinstance(copied, TargetError):
            return True
        by_modifier = any(c.parsed_by_modifier for c in self._constraints.stored)
        if by_modifier or self.wide or not self._constraints.can_trace:
            self._copy_by_halves(rows)
            return False
        if not self._convert(rows):
            self._copy_by_halves(rows)
        return False

    def _convert(self, rows: pa.RecordBatch) -> bool:
        """Take in the values as text and convert them in the server; whether that succeeded."""
        self._scratch.create("texts", columns_of_texts(self._columns))
        _, refused = bisect_batch(
            self._connection,
            rows,
            lambda part: self._copy_into("texts", part, part.schema.names, "binary"),
            hopeless=False,
        )
        converted = attempt(
            self._connection,
            lambda: trace_conversion(
                self._connection, self._scratch, self._columns, self._constraints
            ),
        )
        self._scratch.drop("texts")
        if isinstance(converted, TargetError):
            return False
        self.refused += [(error, [ordinal]) for ordinal, error in refused]
        self.refused += read_noted(self._connection, self._scratch)
        self._connection.execute(sql.SQL("DELETE FROM {}").format(self._scratch.name("refusals")))
        return True

    def copy(self, rows: pa.RecordBatch) -> tuple[int, int]:
        """Copy rows into the stage; their number, twice."""
        names = rows.schema.names
        if not self.wide:
            return self._copy_into("rows", rows, names, self._form)
        links = pa.array(np.arange(len(rows), dtype=np.int32) + self._next_link)
        self._next_link += len(rows)
        linked = rows.append_column(LINK, links)
        here, there = names[:MOST_STAGED], names[MOST_STAGED:]
        self._copy_into("more", linked, [LINK, *there], self._form)
        return self._copy_into("rows", linked, [*here, LINK], self._form)

    def _copy_into(
        self, table: str, rows: pa.RecordBatch, names: Sequence[str], form: str
    ) -> tuple[int, int]:
        count = copy_in(
            self._connection, self._scratch.name(table), names, rows.select(names), form
        )
        return count, count

    def _copy_by_halves(self, rows: pa.RecordBatch) -> None:
        _, refused = bisect_batch(self._connection, rows, self.copy)
        self.refused += [(error, [ordinal]) for ordinal, error in refused]


def read_noted(
    connection: psycopg.Connection, scratch: ScratchTables
) -> list[tuple[TargetError, list[int]]]:
    """Each reason that ``refusals`` holds, with the ordinals of its candidates."""
    rows = connection.execute(read_refusals(scratch)).fetchall()
    return [(TargetError(*row[:4]), row[4]) for row in rows]
