"""What a format of files can do: say its columns, divide a file, read a part of it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, ClassVar

import pyarrow as pa

from schemas.catalog import Column
from schemas.errors import ErrorCode
from transforms.model.slices import PartitionBounds


class FileProblem(Exception):
    """A file that can't be read at all: what is wrong, on which line (0: none), what to do.

    ``code`` is given where the file isn't at fault.
    """

    def __init__(
        self, message: str, line: int = 0, remedy: str = "", code: ErrorCode | None = None
    ) -> None:
        self.message, self.line, self.remedy, self.code = message, line, remedy, code
        super().__init__(message)


class EmptyFile(FileProblem):
    """A file without even what a file without rows has: its transfer may have been cut off."""


def refuse_empty(stream: IO[bytes]) -> None:
    """Raise EmptyFile where a file has no bytes; the next to be read are its first."""
    stream.seek(0)
    if not stream.read(1):
        raise EmptyFile("the file is empty")
    stream.seek(0)


@dataclass(frozen=True)
class FileRange:
    """A part of a file: ``rows`` rows from number ``row`` on.

    ``begin`` and ``end`` say where it lies: bytes of a CSV or Avro file, rows of a Parquet file,
    counted from 0. Rows are numbered from 1; those of a CSV file by the line on which they begin.
    ``size`` and ``written`` (Unix time) are of the file as it was divided.
    """

    file: str
    begin: int
    end: int
    row: int
    rows: int
    size: int = 0
    written: float = 0.0

    def __str__(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def parse(cls, text: str) -> FileRange:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Malformed:
    """A row that can't be read: its place in the range, its number, and what is wrong with it."""

    place: int
    row: int
    code: ErrorCode
    rule: str
    reason: str


@dataclass(frozen=True)
class FileRows:
    """The rows of a range that can be read, and those that can't.

    ``batch`` has the columns that were asked for, in the types of ``Column.type.arrow``;
    ``places`` (int32) and ``numbers`` (int64) are the places of its rows in the range, from 0,
    and their numbers in the file. ``lost`` are masks of values that Arrow can't represent.
    """

    batch: pa.RecordBatch
    places: pa.Array
    numbers: pa.Array
    malformed: tuple[Malformed, ...] = ()
    lost: Mapping[str, pa.BooleanArray] = field(default_factory=dict)


class OpenFile(ABC):
    """A file that is open for reading; the opener closes it."""

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """What columns it has."""

    @property
    def has_checksums(self) -> bool:
        """Whether a bit that flips in it is noticed when it is read, or nobody expects that."""
        return True

    @property
    def has_unsure_names(self) -> bool:
        """Whether what its columns are called may be values of a row."""
        return False

    @abstractmethod
    def ranges(self, file: str, bounds: PartitionBounds) -> Iterator[FileRange]:
        """Divide it, under the name ``file``; no range is empty. Raises FileProblem."""

    @abstractmethod
    def read(self, range_: FileRange, columns: Sequence[str]) -> FileRows:
        """Read some columns of a range. Raises FileProblem if the file has changed."""


class FileFormat(ABC):
    """A format with its options: plain data.

    ``renaming`` is what to do where its columns have names that can't be used.
    """

    renaming: ClassVar[str] = "write the file again with another name for each column"

    @abstractmethod
    def open(self, stream: IO[bytes]) -> OpenFile:
        """The file whose bytes ``stream`` gives, from any place. Raises FileProblem."""
