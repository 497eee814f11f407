"""Reads partitions of files, for the workers.

Rows have two more columns, ``_file`` (text, the path below the folder) and ``_row`` (bigint, the
number of the row; of a CSV file the line on which it begins).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import BIGINT, TEXT
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.keys.key_text import key_text
from transforms.keys.source_keys import source_keys
from transforms.mapping.stages import prepare
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.slices import PartitionBounds
from transforms.model.source_address import SourceAddress
from transforms.model.source_rows import FILE, ROW, UNREAD_SCHEMA, SourceRows
from transforms.sources.files.compression import DAMAGED
from transforms.sources.files.file_format import (
    FileFormat,
    FileProblem,
    FileRange,
    FileRows,
    OpenFile,
)
from transforms.sources.files.opening import FileEntry, find_files, open_file, state_of
from transforms.sources.stored_row_reader import StoredRowReader
from transforms.sql.duckdb_engine import evaluate_each, one_array, select


@dataclass(frozen=True)
class FileAddress(SourceAddress):
    """A folder, or the URL of one, the format of its files, and whether symbolic links may lead out
    of it."""

    folder: str
    format: FileFormat
    follow_links: bool = False

    def open(self, session_name: str = "") -> FileReader:  # noqa: ARG002
        return FileReader(self)

    def find(self, pattern: str) -> list[FileEntry]:
        """The files that match a pattern. Raises as ``find_files`` does."""
        return find_files(self.folder, pattern, self.follow_links)


class FileReader(StoredRowReader):
    """Keeps the file that was read last open: partitions of one file follow each other."""

    def __init__(self, address: FileAddress) -> None:
        self._address = address
        self._open: tuple[str, IO[bytes], OpenFile] | None = None

    def file(self, name: str) -> OpenFile:
        """An open file. Raises TransfuseError (SYS-005) where it can't be read."""
        if self._open is None or self._open[0] != name:
            self.close()
            with report_file_errors(name):
                address = self._address
                stream = open_file(address.folder, name, address.follow_links)
                self._open = (name, stream, self._address.format.open(stream))
        return self._open[2]

    def read_stored(
        self, program: LoadProgram, partition: Partition, columns: Sequence[str]
    ) -> SourceRows:
        range_ = FileRange.parse(partition.predicate)
        wanted = list(dict.fromkeys([*columns, *program.row_key]))
        stored = [name for name in wanted if name not in (FILE, ROW)]
        types = {c.name: c.type.arrow for c in program.relations[partition.relation].columns}
        if not range_.rows:
            empty = [pa.nulls(0, types[name]) for name in wanted]
            return SourceRows(
                pa.RecordBatch.from_arrays(empty, names=[f"src.{name}" for name in wanted]), {}
            )
        file = self.file(range_.file)
        with report_file_errors(range_.file):
            file_rows = file.read(range_, stored)
            # Afterwards: what is written meanwhile is noticed as well.
            now = state_of(self._address.folder, range_.file)
            if range_.size and (now.size, now.written) != (range_.size, range_.written):
                raise FileProblem(
                    "it was written to since it was divided",
                    remedy="bring the file back, or start again to see how to start over",
                )
        rows = _source_rows(file_rows, range_, wanted, types)
        return rows if partition.limit is None else rows.first(partition.limit)

    def stored_row(
        self,
        program: LoadProgram,
        source_key: str,
        columns: Sequence[str],
        partition: Partition | None,
    ) -> SourceRows | None:
        """Without a partition all files of the load are read until the row is found."""
        partitions = [partition] if partition is not None else self.all_of(program)
        for each in partitions:
            source_rows = self.read_stored(program, each, columns)
            rows, _ = prepare(source_rows, program, each.id)
            keys = source_keys(rows, program, each.id)
            place = pc.index(keys, source_key).as_py()
            if place >= 0:
                return source_rows.only(place)
            if pc.index(source_rows.unread.column("source_key"), source_key).as_py() >= 0:
                raise TransfuseError(
                    Problem(
                        ErrorCode.USER_001,
                        "the line can't be read as a row",
                        source_key,
                        "look at that line of the file itself",
                    )
                )
        return None

    def stored_rows(
        self,
        program: LoadProgram,
        source_keys: Sequence[str | None],
        columns: Sequence[str],
        partition: Partition,
    ) -> SourceRows:
        del source_keys  # To find a row in a file it has to be read.
        return self.read_stored(program, partition, columns)

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def all_of(self, program: LoadProgram) -> Iterator[Partition]:
        """Divide a load into partitions again. Raises TransfuseError (SYS-005)."""
        for position, relation in enumerate(program.relations):
            for file in self._address.find(relation.name):
                with report_file_errors(file.name):
                    ranges = list(self.file(file.name).ranges(file.name, PartitionBounds()))
                for range_ in ranges:
                    yield Partition(program.name, "", str(range_), range_.rows, position)


def _source_rows(
    file_rows: FileRows, range_: FileRange, wanted: Sequence[str], types: Mapping[str, pa.DataType]
) -> SourceRows:
    arrays = []
    for name in wanted:
        if name == FILE:
            arrays.append(pa.repeat(range_.file, len(file_rows.numbers)))
        elif name == ROW:
            arrays.append(file_rows.numbers)
        else:
            # Other files of the load may have a wider type.
            array = file_rows.batch.column(name)
            arrays.append(array if array.type == types[name] else array.cast(types[name]))
    batch = pa.RecordBatch.from_arrays(arrays, names=[f"src.{name}" for name in wanted])
    lost = {f"src.{name}": mask for name, mask in file_rows.lost.items()}
    malformed = file_rows.malformed
    if not malformed:
        return SourceRows(batch, lost)
    unread = pa.RecordBatch.from_arrays(
        [
            pa.array([one.place for one in malformed], pa.int32()),
            _place_keys(range_.file, [one.row for one in malformed]),
            pa.array([one.code.value for one in malformed]),
            pa.array([one.rule for one in malformed]),
            pa.array([one.reason for one in malformed]),
        ],
        schema=UNREAD_SCHEMA,
    )
    return SourceRows(batch, lost, unread, file_rows.places)


def _place_keys(file: str, rows: Sequence[int]) -> pa.Array:
    """Source keys made of the place of rows, which malformed lines get in any load."""
    batch = pa.RecordBatch.from_pydict(
        {FILE: pa.repeat(file, len(rows)), ROW: pa.array(rows, pa.int64())}
    )
    text = key_text([(FILE, TEXT), (ROW, BIGINT)])
    keys = evaluate_each(select([f"{text} AS k"]), batch)
    return one_array(keys.column("k"), pa.string())


@contextmanager
def report_file_errors(name: str) -> Iterator[None]:
    """Raise errors of reading a file as TransfuseError (SYS-005, USER-002)."""
    try:
        yield
    except FileProblem as problem:
        where = f"{name}:{problem.line}" if problem.line else name
        remedy = problem.remedy or "give the file as it was exported"
        code = problem.code or ErrorCode.SYS_005
        raise TransfuseError(Problem(code, problem.message, where, remedy)) from problem
    except PermissionError as error:
        message = "it may not be read"
        remedy = "let the user who runs this read it"
        raise TransfuseError(Problem(ErrorCode.USER_002, message, name, remedy)) from error
    except (OSError, *DAMAGED, pa.ArrowInvalid) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        message = f"it can't be read: {reason}" if reason else "it is damaged or cut off"
        remedy = "see that the file is there and whole"
        raise TransfuseError(Problem(ErrorCode.SYS_005, message, name, remedy)) from error
