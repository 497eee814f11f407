"""The interface of a source to workers: its address, and how its rows are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.source_rows import SourceRows


class SourceReader(ABC):
    """A worker's access to a source, for one conversation after the other."""

    @abstractmethod
    def read(
        self, program: LoadProgram, partition: Partition, columns: Sequence[str] | None = None
    ) -> SourceRows:
        """Read the candidates of a partition, in the same order every time unless it is a sample.

        Args:
            program: the program of the load.
            partition: the part of its rows to read.
            columns: the columns to read; without them those of the program.
        """

    @abstractmethod
    def row(
        self,
        program: LoadProgram,
        source_key: str,
        columns: Sequence[str],
        partition: Partition | None = None,
    ) -> SourceRows | None:
        """Read the candidate of a load with that source key.

        Args:
            program: the program of the load.
            source_key: the key as the error sink has it.
            columns: the columns to read.
            partition: where the row was read: its relation is asked, without it all of the load in
                their order. A row that is identified by its place needs it.

        Returns:
            One row, or None where there is none.

        Raises:
            TransfuseError: USER-001 for a text that is no source key of the load.
        """

    @abstractmethod
    def rows_with(
        self, program: LoadProgram, source_keys: Sequence[str], partition: Partition
    ) -> SourceRows:
        """Read the candidates with these source keys, as ``asked_rows`` gives them.

        Args:
            program: the program of the load.
            source_keys: the keys as the error sink has them.
            partition: where they were read.

        Raises:
            TransfuseError: USER-001 for a text that is no source key of the load, USER-003 where
                its rows can't be read again by their keys.
        """

    @abstractmethod
    def close(self) -> None:
        """Close connections and files; the reader can't be used any more."""


class SourceAddress(ABC):
    """The place of a source and the snapshot to read: plain data that is sent to workers."""

    @property
    def snapshot(self) -> str | None:
        """The name of the snapshot that is read; None for sources without snapshots."""
        return None

    @abstractmethod
    def open(self, session_name: str = "") -> SourceReader:
        """Open the source as it was when the run began.

        Args:
            session_name: The name of its session on the server, if it has one.
        """
