"""Avro files: divided by their blocks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import IO, Any

import fastavro
import numpy as np
import pyarrow as pa

from schemas.catalog import Column
from schemas.column_types import ColumnType, parse_type
from transforms.files.file_format import FileFault, FileFormat, FileRange, FileRows, OpenFile
from transforms.partitions.slices import PartitionBounds

_TYPES = {
    "boolean": "bool",
    "int": "int4",
    "long": "int8",
    "float": "float4",
    "double": "float8",
    "string": "text",
    "enum": "text",
    "bytes": "bytea",
    "fixed": "bytea",
    "date": "date",
    "time-millis": "time",
    "time-micros": "time",
    "timestamp-millis": "timestamptz",
    "timestamp-micros": "timestamptz",
    "local-timestamp-millis": "timestamp",
    "local-timestamp-micros": "timestamp",
    "uuid": "uuid",
    "null": "text",
}
"""PostgreSQL types of Avro's, by logical type where there is one; all others are JSON."""

_WRITTEN: dict[str, Callable[[Any], str]] = {
    "bytea": lambda value: "\\x" + value.hex(),
    "time": lambda value: str(value.isoformat()),
    "uuid": str,
    "numeric": lambda value: format(value, "f") if isinstance(value, Decimal) else str(value),
    "json": lambda value: json.dumps(value, default=str),
}
"""How values that travel as text are written."""


@dataclass(frozen=True)
class AvroFormat(FileFormat):
    """Avro has no options here."""

    def open(self, stream: IO[bytes]) -> OpenAvro:
        stream.seek(0)
        try:
            reader = fastavro.block_reader(stream)
        except (ValueError, EOFError, KeyError, OSError):
            raise FileFault("the file isn't Avro") from None
        schema = reader.writer_schema
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise FileFault("the file's rows aren't records")
        return OpenAvro(stream, schema, stream.tell())


class OpenAvro(OpenFile):
    """An Avro file whose blocks begin at the byte ``body``."""

    def __init__(self, stream: IO[bytes], schema: dict[str, Any], body: int) -> None:
        self._stream, self._schema, self._body = stream, schema, body

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(_column(field) for field in self._schema["fields"])

    def ranges(self, file: str, bounds: PartitionBounds) -> Iterator[FileRange]:
        self._stream.seek(0)
        current = FileRange(file, self._body, self._body, 1, 0)
        try:
            for block in fastavro.block_reader(self._stream):
                end = block.offset + block.size
                grown = replace(current, end=end, rows=current.rows + block.num_records)
                if current.rows and bounds.share(grown.rows, end - current.begin) > 1:
                    yield current
                    row = current.row + current.rows
                    grown = FileRange(file, block.offset, end, row, block.num_records)
                current = grown
        except (ValueError, EOFError, KeyError):
            told = f"the file is cut off or damaged after row {current.row + current.rows - 1}"
            raise FileFault(told) from None
        if current.rows:
            yield current

    def read(self, range_: FileRange, columns: Sequence[str]) -> FileRows:
        self._stream.seek(0)
        header = self._stream.read(self._body)
        self._stream.seek(range_.begin)
        # The blocks of the range, as a file of their own.
        part = io.BytesIO(header + self._stream.read(range_.end - range_.begin))
        try:
            rows: list[Any] = list(fastavro.reader(part))
        except (ValueError, EOFError, KeyError):
            rows = []
        if len(rows) != range_.rows:
            raise FileFault(
                f"{range_.rows} rows were found from row {range_.row} on, and now {len(rows)}",
                remedy="don't write to files while they are read",
            )
        types = {column.name: column.type for column in self.columns}
        arrays = [_array([row[name] for row in rows], types[name]) for name in columns]
        numbers = np.arange(range_.row, range_.row + range_.rows, dtype=np.int64)
        return FileRows(
            pa.RecordBatch.from_arrays(arrays, names=list(columns)),
            pa.array(np.arange(range_.rows, dtype=np.int32)),
            pa.array(numbers),
        )


def _column(field: dict[str, Any]) -> Column:
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    given = [kind for kind in kinds if kind != "null"]
    known = _type(given[0]) if len(given) == 1 else parse_type("json" if given else "text")
    return Column(field["name"], known, nullable=len(given) < len(kinds))


def _type(kind: Any) -> ColumnType:
    logical = kind.get("logicalType") if isinstance(kind, dict) else None
    if logical == "decimal":
        return parse_type(f"numeric({kind['precision']},{kind.get('scale', 0)})")
    name = kind["type"] if isinstance(kind, dict) else kind
    return parse_type(_TYPES.get(str(logical)) or _TYPES.get(str(name)) or "json")


def _array(values: list[Any], kind: ColumnType) -> pa.Array:
    written = _WRITTEN.get(kind.name)
    if written is not None:
        values = [None if value is None else written(value) for value in values]
    return pa.array(values, kind.arrow)
