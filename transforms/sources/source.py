"""What a source can do, whatever kind it is: for the launcher, and for the workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.catalog import Relation
from schemas.errors import ErrorCode, Problem
from schemas.specification.table import Relation as NamedRelation
from transforms.mapping.program import LoadProgram
from transforms.partitions.partition import Partition
from transforms.partitions.slices import PartitionBounds
from transforms.sources.asked_rows import asked_rows
from transforms.sources.source_rows import SourceRows
from transforms.sources.spread import position_of, spread_rows


def moved(load: str, why: str, remedy: str) -> Problem:
    """What to say of rows that are known by their place in a source that has changed since."""
    told = f"its rows are known by their place in the source, which has changed since: {why}"
    return Problem(ErrorCode.SYS_005, told, f"table {load}", f"undo the change, or {remedy}")


class NoSuchRelation(Exception):
    """A source doesn't have what a load reads, or can't say what it is.

    ``key`` is the part of the load's ``from`` that names it: table, query or file.
    """

    def __init__(self, key: str, message: str, code: ErrorCode, remedy: str) -> None:
        self.key, self.message, self.code, self.remedy = key, message, code, remedy
        super().__init__(message)


class SourceReader(ABC):
    """A worker's access to a source, for one conversation after the other."""

    def read(
        self, program: LoadProgram, partition: Partition, columns: Sequence[str] | None = None
    ) -> SourceRows:
        """The candidates of a partition, in the same order every time unless it is a sample.

        ``columns`` are those of the program unless given.
        """
        wanted = program.columns if columns is None else columns
        rows = self.read_stored(program, partition, program.stored(wanted))
        return rows if program.spread is None else spread_rows(rows, program, wanted)

    def row(
        self,
        program: LoadProgram,
        source_key: str,
        columns: Sequence[str],
        partition: Partition | None = None,
    ) -> SourceRows | None:
        """The candidate of a load with that source key, as one batch; None where there is none.

        ``partition`` is where the row was read: its relation is asked, without it all of the
        load in their order. A row that is identified by its place needs it. Raises
        TransfuseError (USER-001) for a text that is no source key of the load.
        """
        if program.spread is None:
            return self.stored_row(program, source_key, columns, partition)
        row_key, position = position_of(program, source_key)
        of_rows = program.of_rows
        if row_key is None:
            # Of rows without a key there may be several.
            return None
        found = self.stored_row(of_rows, row_key, program.stored(columns), partition)
        if found is None or position is None:
            return found
        candidates = spread_rows(found, program, columns)
        numbers = candidates.batch.column(f"src.{program.spread.position}")
        place = pc.index(numbers, pa.scalar(position, pa.int32())).as_py()
        return None if place < 0 else candidates.only(place)

    def rows_with(
        self, program: LoadProgram, source_keys: Sequence[str], partition: Partition
    ) -> SourceRows:
        """The candidates with these source keys, as ``asked_rows`` gives them.

        ``partition`` is where they were read. Raises TransfuseError: USER-001 for a text that is
        no source key of the load, USER-003 where its rows can't be found again.
        """
        if program.spread is None:
            rows = self.stored_rows(program, source_keys, program.columns, partition)
            return asked_rows(rows, program, source_keys)
        row_keys = list(dict.fromkeys(position_of(program, key)[0] for key in source_keys))
        columns = program.stored_columns
        rows = self.stored_rows(program.of_rows, row_keys, columns, partition)
        return asked_rows(spread_rows(rows, program, program.columns), program, source_keys)

    @abstractmethod
    def stored_rows(
        self,
        program: LoadProgram,
        source_keys: Sequence[str | None],
        columns: Sequence[str],
        partition: Partition,
    ) -> SourceRows:
        """The rows with these source keys of a program that spreads none; there may be others
        among them."""

    @abstractmethod
    def read_stored(
        self, program: LoadProgram, partition: Partition, columns: Sequence[str]
    ) -> SourceRows:
        """The rows of a partition as the source has them; ``columns`` are its own."""

    @abstractmethod
    def stored_row(
        self,
        program: LoadProgram,
        source_key: str,
        columns: Sequence[str],
        partition: Partition | None,
    ) -> SourceRows | None:
        """``row`` of a program that spreads none."""

    @abstractmethod
    def close(self) -> None:
        """Gives up what is open; the reader is of no more use."""


class SourceAddress(ABC):
    """Where a source is, and as of when: plain data that workers get."""

    @property
    def snapshot(self) -> str | None:
        """The name of the instant that is read, None where there is none."""
        return None

    @abstractmethod
    def open(self) -> SourceReader:
        """Access to it, as it was when the run began."""


class Source(ABC):
    """The launcher's access to a source: what there is, and how it is divided."""

    @property
    @abstractmethod
    def address(self) -> SourceAddress:
        """What workers need to open it."""

    @abstractmethod
    def relation(self, named: NamedRelation) -> Relation:
        """What a load reads, described. Raises NoSuchRelation."""

    @abstractmethod
    def partitions(self, program: LoadProgram, bounds: PartitionBounds) -> list[Partition]:
        """The partitions of all relations of a load, one relation after the other.

        Raises TransfuseError where they can't be divided within ``bounds``.
        """

    @abstractmethod
    def state(self, program: LoadProgram, partitions: Sequence[Partition]) -> list[dict[str, Any]]:
        """For each relation what tells later whether it has changed, as JSON; ``rows`` is in it.

        ``partitions`` are those that it was just divided into.
        """

    @abstractmethod
    def difference(self, program: LoadProgram, stored: Sequence[Mapping[str, Any]]) -> str | None:
        """What has changed since ``state`` gave ``stored``, in words; None for nothing."""

    @abstractmethod
    def refound(self, program: LoadProgram, stored: Sequence[Mapping[str, Any]]) -> Problem | None:
        """Why rows of a load can't be found again by their source keys; None where they can.

        ``stored`` as for ``difference``: a row that is known by its place is another one, perhaps,
        once the source has changed. USER-003 where a row has no key at all, else SYS-005.
        """

    @abstractmethod
    def repeated_source_keys(self, program: LoadProgram) -> int:
        """How many source keys are NULL in part, or stand for several rows."""

    @abstractmethod
    def given(self, program: LoadProgram, row: Mapping[str, Any]) -> SourceRows:
        """A row that a person gives, read as one of the source's own.

        Columns that ``row`` doesn't have are NULL. Raises TransfuseError (USER-001) for
        columns that the source doesn't have and values that they can't hold, all at once.
        """

    def loss(self) -> Problem | None:
        """Why the instant that workers read is no more; None where it is still there."""
        return None

    @abstractmethod
    def cancel(self) -> None:
        """Ends what another thread is asking it, and refuses what is asked afterwards."""

    @abstractmethod
    def close(self) -> None:
        """Gives up what is open."""
