"""What a source of any kind can do for the launcher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.catalog import Relation
from schemas.errors import ErrorCode, Problem
from schemas.specification.named_relation import NamedRelation
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.slices import PartitionBounds
from transforms.model.source_address import SourceAddress
from transforms.model.source_rows import SourceRows


def changed_source(load: str, why: str, remedy: str) -> Problem:
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
    def entered_row(self, program: LoadProgram, row: Mapping[str, Any]) -> SourceRows:
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
