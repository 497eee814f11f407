"""Parquet files: divided by row groups, and these by rows where they are large."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from schemas.catalog import Column
from transforms.model.slices import PartitionBounds
from transforms.sources.files.arrow_types import column_type, travelling
from transforms.sources.files.file_format import (
    FileFormat,
    FileProblem,
    FileRange,
    FileRows,
    OpenFile,
    refuse_empty,
)
from transforms.sources.files.int96 import UNIT, Int96Columns
from transforms.sources.files.parquet_checksums import has_checksums


@dataclass(frozen=True)
class ParquetFormat(FileFormat):
    """Parquet has no options here."""

    def open(self, stream: IO[bytes]) -> OpenParquet:
        refuse_empty(stream)
        try:
            return OpenParquet(stream)
        except pa.ArrowInvalid:
            raise FileProblem("the file isn't Parquet, or is cut off") from None


class OpenParquet(OpenFile):
    """A Parquet file. The row group that was read last is kept, since parts of it follow."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Open a file. Raises pa.ArrowInvalid if it isn't a Parquet file."""
        self._stream = stream
        self._file = pa.parquet.ParquetFile(
            stream, coerce_int96_timestamp_unit=UNIT, page_checksum_verification=True
        )
        self._int96 = Int96Columns(stream, self._file)
        self._group: tuple[int, tuple[str, ...], pa.Table] | None = None
        self._inexact: dict[str, pa.BooleanArray] = {}

    @property
    def has_checksums(self) -> bool:
        return has_checksums(self._stream, self._file.metadata)

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(
            Column(field.name, column_type(field.type), field.nullable)
            for field in self._file.schema_arrow
        )

    def ranges(self, file: str, bounds: PartitionBounds) -> Iterator[FileRange]:
        begin = 0
        for number in range(self._file.metadata.num_row_groups):
            group = self._file.metadata.row_group(number)
            parts = math.ceil(max(1.0, bounds.share(group.num_rows, group.total_byte_size)))
            size = math.ceil(group.num_rows / parts)
            for first in range(begin, begin + group.num_rows, max(1, size)):
                end = min(first + size, begin + group.num_rows)
                yield FileRange(file, first, end, first + 1, end - first)
            begin += group.num_rows

    def read(self, range_: FileRange, columns: Sequence[str]) -> FileRows:
        number, begin = self._group_of(range_)
        table = self._read_group(number, tuple(columns)).slice(range_.begin - begin, range_.rows)
        arrays, lost = [], {}
        types = {column.name: column.type for column in self.columns}
        for name in columns:
            values = table.column(name).combine_chunks()
            if isinstance(values, pa.ChunkedArray):
                raise pa.ArrowCapacityError("a column of a row group is longer than 2 GB")
            array, mask = travelling(values, types[name])
            if name in self._inexact:
                inexact = self._inexact[name].slice(range_.begin - begin, range_.rows)
                if pc.any(inexact).as_py():
                    mask = inexact if mask is None else pc.or_(mask, inexact)
                    array = pc.if_else(inexact, None, array)
            arrays.append(array)
            if mask is not None:
                lost[name] = mask
        numbers = np.arange(range_.row, range_.row + range_.rows, dtype=np.int64)
        return FileRows(
            pa.RecordBatch.from_arrays(
                arrays, schema=pa.schema([(name, types[name].arrow) for name in columns])
            ),
            pa.array(np.arange(range_.rows, dtype=np.int32)),
            pa.array(numbers),
            lost=lost,
        )

    def _group_of(self, range_: FileRange) -> tuple[int, int]:
        """The row group that a range is a part of, and its first row."""
        begin = 0
        for number in range(self._file.metadata.num_row_groups):
            end = begin + self._file.metadata.row_group(number).num_rows
            if begin <= range_.begin and range_.end <= end:
                return number, begin
            begin = end
        raise FileProblem(
            f"the rows {range_.row} to {range_.row + range_.rows - 1} aren't there any more",
            remedy="don't write to files while they are read",
        )

    def _read_group(self, number: int, columns: tuple[str, ...]) -> pa.Table:
        if self._group is None or self._group[:2] != (number, columns):
            # The old one goes first: two would take twice the memory.
            self._group = None
            try:
                table = self._file.read_row_group(number, columns=list(columns), use_threads=False)
                self._inexact = self._int96.inexact(number, table)
            except OSError as error:
                if "CRC" not in str(error):
                    raise
                raise FileProblem(
                    "what the file holds isn't what its checksums say: it is damaged",
                    remedy="copy it again from where it was exported, and start again",
                ) from None
            self._group = (number, columns, table)
        return self._group[2]
