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
from transforms.files.arrow_types import column_type, travelling
from transforms.files.file_format import FileFault, FileFormat, FileRange, FileRows, OpenFile
from transforms.partitions.slices import PartitionBounds


@dataclass(frozen=True)
class ParquetFormat(FileFormat):
    """Parquet has no options here."""

    def open(self, stream: IO[bytes]) -> OpenParquet:
        try:
            return OpenParquet(stream)
        except pa.ArrowInvalid:
            raise FileFault("the file isn't Parquet, or is cut off") from None


class OpenParquet(OpenFile):
    """A Parquet file. The row group that was read last is kept, since parts of it follow."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Open a file; raises pa.ArrowInvalid where it is none.

        INT96 is read in microseconds, since nanoseconds end in 2262, and again in nanoseconds,
        to see which values have more digits.
        """
        self._file = pa.parquet.ParquetFile(stream, coerce_int96_timestamp_unit="us")
        schema = self._file.schema
        self._int96 = [
            schema.column(place).path
            for place in range(len(schema))
            if schema.column(place).physical_type == "INT96"
        ]
        self._exact = pa.parquet.ParquetFile(stream) if self._int96 else None
        self._group: tuple[int, tuple[str, ...], pa.Table] | None = None

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
            if name in self._int96:
                mask = self._finer(number, name, values, range_.begin - begin)
                array = array if mask is None else pc.if_else(mask, None, array)
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

    def _finer(
        self, group: int, name: str, microseconds: pa.Array, begin: int
    ) -> pa.BooleanArray | None:
        """Which values of INT96 have digits that a microsecond can't hold; None if none has.

        Nanoseconds wrap around outside of 1677 to 2262; so do the microseconds times 1000.
        """
        assert self._exact is not None
        read = self._exact.read_row_group(group, columns=[name], use_threads=False)
        column = read.column(name).slice(begin, len(microseconds)).combine_chunks()
        nanoseconds = column.fill_null(0).view(pa.int64()).to_numpy(zero_copy_only=False)
        counted = microseconds.fill_null(0).view(pa.int64()).to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):
            finer = counted * np.int64(1000) != nanoseconds
        return pa.array(finer) if finer.any() else None

    def _group_of(self, range_: FileRange) -> tuple[int, int]:
        """The row group that a range is a part of, and its first row."""
        begin = 0
        for number in range(self._file.metadata.num_row_groups):
            end = begin + self._file.metadata.row_group(number).num_rows
            if begin <= range_.begin and range_.end <= end:
                return number, begin
            begin = end
        raise FileFault(
            f"the rows {range_.row} to {range_.row + range_.rows - 1} aren't there any more",
            remedy="don't write to files while they are read",
        )

    def _read_group(self, number: int, columns: tuple[str, ...]) -> pa.Table:
        if self._group is None or self._group[:2] != (number, columns):
            # The old one goes first: two would take twice the memory.
            self._group = None
            table = self._file.read_row_group(number, columns=list(columns), use_threads=False)
            self._group = (number, columns, table)
        return self._group[2]
