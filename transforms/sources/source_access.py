"""The interface of a source to the launcher, the same for databases and files."""

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
    """The problem of rows that are identified by their place in a source that has changed."""
    message = f"its rows are known by their place in the source, which has changed since: {why}"
    return Problem(ErrorCode.SYS_005, message, f"table {load}", f"undo the change, or {remedy}")


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
        """The address with which workers open it."""

    @abstractmethod
    def relation(self, named: NamedRelation) -> Relation:
        """Describe what a load reads. Raises NoSuchRelation."""

    @abstractmethod
    def partitions(self, program: LoadProgram, bounds: PartitionBounds) -> list[Partition]:
        """Divide all relations of a load into partitions, one relation after the other.

        Raises:
            TransfuseError: they can't be divided within ``bounds``.
        """

    @abstractmethod
    def state(self, program: LoadProgram, partitions: Sequence[Partition]) -> list[dict[str, Any]]:
        """The state of each relation, to notice changes later.

        Args:
            program: the load.
            partitions: those into which it was just divided.

        Returns:
            JSON for each relation, with the number of its ``rows``.
        """

    @abstractmethod
    def difference(self, program: LoadProgram, stored: Sequence[Mapping[str, Any]]) -> str | None:
        """Describe what has changed since ``state`` returned ``stored``; None if nothing has."""

    @abstractmethod
    def rereading_problem(
        self, program: LoadProgram, stored: Sequence[Mapping[str, Any]]
    ) -> Problem | None:
        """The problem that prevents rows from being read again by their source keys, if any.

        Once the source has changed, a row that is identified by its place may be another one.

        Args:
            program: the load.
            stored: its state as ``state`` returned it.

        Returns:
            USER-003 if rows have no key at all, SYS-005 if the source has changed; None if rows can
            be read.
        """

    @abstractmethod
    def repeated_source_keys(self, program: LoadProgram) -> int:
        """Count the source keys that are NULL in part or that several rows have."""

    @abstractmethod
    def entered_row(self, program: LoadProgram, row: Mapping[str, Any]) -> SourceRows:
        """Read a row that a person has entered as if it were a row of the source.

        Args:
            program: the load.
            row: values by column; the other columns are NULL.

        Raises:
            TransfuseError: USER-001 for each column that the source doesn't have, and for each
                value that its column can't hold.
        """

    def loss(self) -> Problem | None:
        """The problem if the snapshot that workers read is gone, else None."""
        return None

    @abstractmethod
    def cancel(self) -> None:
        """End the query of another thread, and refuse later ones."""

    @abstractmethod
    def close(self) -> None:
        """Close connections and files."""
