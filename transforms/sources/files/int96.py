"""Timestamps of Parquet's old type INT96: a day and the nanoseconds of it.

Arrow reads them in the unit of an option. In nanoseconds, what lies outside of 1677 to 2262
wraps around to another date without a word; in microseconds, what is finer is cut, and what lies
far outside wraps around as well. Read in both, and in seconds, each says what the others hide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from transforms.sources.files.file_format import FileProblem

UNIT = "us"
"""In which they are used."""

_PER_SECOND, _PER_MICROSECOND = 1_000_000, 1_000


class Int96Columns:
    """The columns of a Parquet file that are of this type, or hold it in lists and structs."""

    def __init__(self, stream: IO[bytes], file: pa.parquet.ParquetFile) -> None:
        """Open the file again where it has such columns; ``file`` reads them in ``UNIT``."""
        leaves = [file.schema.column(place) for place in range(len(file.schema))]
        paths = [leaf.path for leaf in leaves if leaf.physical_type == "INT96"]
        names = file.schema_arrow.names
        self._names = {
            name for name in names for path in paths if f"{path}.".startswith(f"{name}.")
        }
        self._others = {
            unit: pa.parquet.ParquetFile(
                stream, coerce_int96_timestamp_unit=unit, page_checksum_verification=True
            )
            for unit in (("ns", "s") if paths else ())
        }

    def inexact(self, group: int, table: pa.Table) -> dict[str, pa.BooleanArray]:
        """For columns of a row group, as far as ``table`` has them, where a value isn't exact.

        Raises FileProblem where such a value is within a list or a struct.
        """
        lost = {}
        for name in self._names.intersection(table.column_names):
            columns = [table.column(name)]
            for file in self._others.values():
                read = file.read_row_group(group, columns=[name], use_threads=False)
                columns.append(read.column(name))
            leaves = [_leaves(column.combine_chunks()) for column in columns]
            masks = [_inexact(*units) for units in zip(*leaves, strict=True)]
            if pa.types.is_timestamp(table.schema.field(name).type):
                lost[name] = masks[0]
            elif any(pc.any(mask).as_py() for mask in masks):
                raise FileProblem(
                    f"'{name}' holds timestamps that aren't whole microseconds, or lie too far"
                    " from today",
                    remedy="write them as TIMESTAMP_MICROS instead of INT96",
                )
        return lost


def _leaves(array: pa.Array) -> list[pa.Array]:
    """The timestamps that an array holds, however deeply."""
    return list(_walk(array))


def _walk(array: pa.Array) -> Iterator[pa.Array]:
    kind = array.type
    if pa.types.is_timestamp(kind):
        yield array
    elif pa.types.is_struct(kind):
        for part in array.flatten():
            yield from _walk(part)
    elif pa.types.is_map(kind):
        yield from _walk(array.keys)
        yield from _walk(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _walk(array.flatten())


def _inexact(microseconds: pa.Array, nanoseconds: pa.Array, seconds: pa.Array) -> pa.BooleanArray:
    """Where microseconds aren't the whole value."""
    us, ns, s = (
        pc.fill_null(array.view(pa.int64()), 0).to_numpy(zero_copy_only=False)
        for array in (microseconds, nanoseconds, seconds)
    )
    with np.errstate(over="ignore"):
        # Nanoseconds wrap around as this product does, so the difference is what was cut.
        finer = us * np.int64(_PER_MICROSECOND) != ns
    wrapped = us // _PER_SECOND != s
    return pc.and_(pa.array(finer | wrapped), microseconds.is_valid())
