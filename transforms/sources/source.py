"""What a source can do, whatever kind it is: for the launcher, and for the workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.catalog import Relation
from schemas.errors import ErrorCode
from schemas.specification.table import Relation as NamedRelation
from schemas.violations import ORDINAL
from transforms.mapping.program import LoadProgram
from transforms.partitions.partition import Partition
from transforms.partitions.slices import PartitionBounds

UNREAD_SCHEMA = pa.schema(
    [
        pa.field(ORDINAL, pa.int32(), nullable=False),
        pa.field("source_key", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""Rows that can't be read, with the violation that each has: malformed lines of a file."""


def no_unread() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=UNREAD_SCHEMA)


@dataclass(frozen=True)
class SourceRows:
    """What a partition holds: ``batch``, and what of it Arrow can't represent.

    The columns of ``batch`` are named ``src.<name>`` and have the type ``ColumnType.arrow``.
    ``unrepresentable`` maps such a name to a mask (boolean, one value a row, no NULLs) of the
    values that are NULL in the batch but not in the source: timestamps after 294247 AD, and
    bytes of a database in SQL_ASCII that aren't UTF-8. Rows that use them are to be rejected
    with DATA-003. Columns without any are left out.

    ``unread`` (UNREAD_SCHEMA) are rows that aren't in the batch because they can't be read;
    then ``ordinals`` (int32) are the places of those that are. Without it they are all there.
    """

    batch: pa.RecordBatch
    unrepresentable: Mapping[str, pa.BooleanArray]
    unread: pa.RecordBatch = field(default_factory=no_unread)
    ordinals: pa.Array | None = None

    @property
    def count(self) -> int:
        """The rows of the source, also those that can't be read."""
        return int(self.batch.num_rows + self.unread.num_rows)

    def only(self, place: int) -> SourceRows | None:
        """The one row of the batch at that place; None where it has no such row."""
        if place >= self.batch.num_rows:
            return None
        lost = {name: mask.slice(place, 1) for name, mask in self.unrepresentable.items()}
        # A slice would keep the buffers of all rows.
        return SourceRows(self.batch.take(pa.array([place])), lost)

    def first(self, count: int) -> SourceRows:
        """The first rows, also of those that can't be read."""
        if count >= self.count:
            return self
        if self.ordinals is None:
            lost = {name: mask.slice(0, count) for name, mask in self.unrepresentable.items()}
            return SourceRows(self.batch.slice(0, count), lost)
        within = pc.less(self.ordinals, count)
        return SourceRows(
            self.batch.filter(within),
            {name: mask.filter(within) for name, mask in self.unrepresentable.items()},
            self.unread.filter(pc.less(self.unread.column(ORDINAL), count)),
            self.ordinals.filter(within),
        )


class NoSuchRelation(Exception):
    """A source doesn't have what a load reads, or can't say what it is.

    ``key`` is the part of the load's ``from`` that names it: table, query or file.
    """

    def __init__(self, key: str, message: str, code: ErrorCode, remedy: str) -> None:
        self.key, self.message, self.code, self.remedy = key, message, code, remedy
        super().__init__(message)


class SourceReader(ABC):
    """A worker's access to a source, for one conversation after the other."""

    @abstractmethod
    def read(
        self, program: LoadProgram, partition: Partition, columns: Sequence[str] | None = None
    ) -> SourceRows:
        """The rows of a partition, in the same order every time unless it is a sample.

        ``columns`` are those of the program unless given.
        """

    @abstractmethod
    def row(
        self,
        program: LoadProgram,
        source_key: str,
        columns: Sequence[str],
        partition: Partition | None = None,
    ) -> SourceRows | None:
        """The row of a load with that source key, as one batch; None where there is none.

        ``partition`` is where the row was read: its relation is asked, without it all of the
        load in their order. A row that is identified by its place needs it. Raises
        TransfuseError (USER-001) for a text that is no source key of the load.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives up what is open; the reader is of no more use."""


class SourceAddress(ABC):
    """Where a source is, and as of when: plain data that workers get."""

    @abstractmethod
    def open(self) -> SourceReader:
        """Access to it, as it was when the run began."""


class Source(ABC):
    """The launcher's access to a source: what there is, and how it is divided."""

    @property
    @abstractmethod
    def address(self) -> SourceAddress:
        """What workers need to open it."""

    @property
    def snapshot(self) -> str | None:
        """The name of the instant that is read, for the ledger; None where there is none."""
        return None

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
    def repeated_source_keys(self, program: LoadProgram) -> int:
        """How many source keys are NULL in part, or stand for several rows."""

    @abstractmethod
    def given(self, program: LoadProgram, row: Mapping[str, Any]) -> SourceRows:
        """A row that a person gives, read as one of the source's own.

        Columns that ``row`` doesn't have are NULL. Raises TransfuseError (USER-001) for
        columns that the source doesn't have and values that they can't hold, all at once.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Ends what another thread is asking it."""

    @abstractmethod
    def close(self) -> None:
        """Gives up what is open."""
