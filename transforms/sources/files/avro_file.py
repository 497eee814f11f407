"""Avro files: divided by their blocks."""

from __future__ import annotations

import io
import json
import lzma
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, cast

import cramjam
import fastavro
import numpy as np
import pyarrow as pa
from backports import zstd

from schemas.catalog import Column
from schemas.column_types import ColumnType, parse_type
from schemas.wider_types import NOTHING
from transforms.model.slices import PartitionBounds
from transforms.sources.files.arrow_types import (
    Travelled,
    as_json,
    dates,
    fixed_bytes,
    hexadecimal,
    list_type,
    texts,
    times,
    timestamps,
)
from transforms.sources.files.avro_nested import (
    decimal_of,
    has_logic,
    is_undecidable,
    json_value,
    resolve,
)
from transforms.sources.files.avro_unions import decimal_text, union_type
from transforms.sources.files.file_format import (
    FileFormat,
    FileProblem,
    FileRange,
    FileRows,
    OpenFile,
    refuse_empty,
)

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
    "timestamp-nanos": "timestamptz",
    "local-timestamp-nanos": "timestamp",
    "uuid": "uuid",
}
"""PostgreSQL types of Avro's, by logical type where there is one; all others are JSON."""

_CODECS = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")
"""Those of Avro 1.11, all of them."""

_DAMAGED = (
    ValueError,
    EOFError,
    KeyError,
    zlib.error,
    lzma.LZMAError,
    cramjam.DecompressionError,
    zstd.ZstdError,
)
"""What reading a block raises that isn't what was written."""

_SYNC = 16
"""Bytes of the mark behind the header and each block. Source: Avro 1.11, object container files."""

_HEADER: Any = {
    "type": "record",
    "name": "org.apache.avro.file.Header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": _SYNC}},
    ],
}


@dataclass(frozen=True)
class AvroFormat(FileFormat):
    """Avro has no options here."""

    def open(self, stream: IO[bytes]) -> OpenAvro:
        refuse_empty(stream)
        try:
            reader = fastavro.block_reader(stream)
        except (ValueError, EOFError, KeyError, OSError):
            raise FileProblem("the file isn't Avro") from None
        schema, codec = reader.writer_schema, reader.codec
        if codec not in _CODECS:
            message = f"the file is compressed with '{codec}', which can't be read here"
            raise FileProblem(message, remedy=f"write it with one of {', '.join(_CODECS)}")
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise FileProblem("the file's rows aren't records")
        return OpenAvro(stream, schema, codec, stream.tell())


class OpenAvro(OpenFile):
    """An Avro file whose blocks begin at the byte ``body``."""

    def __init__(self, stream: IO[bytes], schema: dict[str, Any], codec: str, body: int) -> None:
        self._stream, self._body = stream, body
        self._names: dict[str, Any] = {}
        parsed: Any = fastavro.parse_schema(schema, named_schemas=self._names)
        self._fields = [
            {"name": field["name"], "type": _resolve_names(field["type"], self._names)}
            for field in parsed["fields"]
        ]
        # Values are read as they are stored: Python's own dates end in 9999.
        self._header = {"avro.codec": codec, "avro.schema": json.dumps(_without_logic(schema))}

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(_column(field, self._names) for field in self._fields)

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
        except _DAMAGED:
            message = f"the file is cut off or damaged after row {current.row + current.rows - 1}"
            raise FileProblem(message) from None
        if current.rows:
            yield current

    def read(self, range_: FileRange, columns: Sequence[str]) -> FileRows:
        rows = _decode_part(self._part(range_))
        if len(rows) != range_.rows:
            raise FileProblem(
                f"{range_.rows} rows were found from row {range_.row} on, and now {len(rows)}",
                remedy="don't write to files while they are read",
            )
        types = {column.name: column.type for column in self.columns}
        logic = {field["name"]: _logic(field) for field in self._fields}
        nested = {
            field["name"]: field["type"]
            for field in self._fields
            if types[field["name"]].name == "json" and has_logic(field["type"], self._names)
        }
        arrays, lost = [], {}
        for name in columns:
            values = [row[name] for row in rows]
            if name in nested:
                array, mask = self._convert_nested(values, nested[name])
            else:
                array, mask = _travelling(values, types[name], logic[name])
            arrays.append(array)
            if mask is not None:
                lost[name] = mask
        numbers = np.arange(range_.row, range_.row + range_.rows, dtype=np.int64)
        return FileRows(
            pa.RecordBatch.from_arrays(arrays, names=list(columns)),
            pa.array(np.arange(range_.rows, dtype=np.int32)),
            pa.array(numbers),
            lost=lost,
        )

    def _convert_nested(self, values: list[Any], kind: Any) -> Travelled:
        return texts(values, lambda value: as_json(json_value(value, kind, self._names)))

    def _part(self, range_: FileRange) -> IO[bytes]:
        """The blocks of the range as a file of their own."""
        part = io.BytesIO()
        self._stream.seek(self._body - _SYNC)
        header = {
            "magic": b"Obj\x01",
            "meta": {name: value.encode() for name, value in self._header.items()},
            "sync": self._stream.read(_SYNC),
        }
        fastavro.schemaless_writer(part, _HEADER, header)
        self._stream.seek(range_.begin)
        part.write(self._stream.read(range_.end - range_.begin))
        part.seek(0)
        return part


def _decode_part(part: IO[bytes]) -> list[dict[str, Any]]:
    """The rows of a file; none where it is damaged."""
    try:
        rows = list(fastavro.reader(part, handle_unicode_errors="surrogateescape"))
    except (*_DAMAGED, OSError):
        # Of bzip2: the file itself has been read.
        return []
    return cast("list[dict[str, Any]]", rows)


def _resolve_names(kind: Any, names: dict[str, Any]) -> Any:
    if isinstance(kind, list):
        return [resolve(one, names) for one in kind]
    return resolve(kind, names)


def _column(field: dict[str, Any], names: dict[str, Any]) -> Column:
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    branches = [kind for kind in kinds if kind != "null"]
    column_type = (
        union_type(branches) if len(branches) > 1 else _type(branches[0] if branches else "null")
    )
    if column_type.name == "json" and is_undecidable(field["type"], names):
        column_type = ColumnType("union", "a nested union with a logical type")
    return Column(field["name"], column_type, nullable=len(branches) < len(kinds))


def _type(kind: Any) -> ColumnType:
    logical = kind.get("logicalType") if isinstance(kind, dict) else None
    if logical == "decimal":
        return parse_type(f"numeric({kind['precision']},{kind.get('scale', 0)})")
    name = kind["type"] if isinstance(kind, dict) else kind
    if name == "null":
        return NOTHING
    if name == "array" and isinstance(kind, dict):
        return list_type(_type(kind["items"]))
    if name == "fixed" and logical is None:
        return fixed_bytes(int(kind["size"]))
    return parse_type(_TYPES.get(str(logical)) or _TYPES.get(str(name)) or "json")


def _logic(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field's values, if that says more than their type."""
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    branches = [kind for kind in kinds if kind != "null"]
    return branches[0] if len(branches) == 1 and isinstance(branches[0], dict) else {}


def _without_logic(schema: Any) -> Any:
    """A schema whose values are read as they are stored."""
    if isinstance(schema, list):
        return [_without_logic(one) for one in schema]
    if isinstance(schema, dict):
        return {k: _without_logic(v) for k, v in schema.items() if k != "logicalType"}
    return schema


def _travelling(values: list[Any], kind: ColumnType, logic: dict[str, Any]) -> Travelled:
    """Values as they are stored, in the type in which they travel."""
    unit = {"millis": "ms", "micros": "us", "nanos": "ns"}.get(
        str(logic.get("logicalType")).rpartition("-")[2]
    )
    if kind.name in ("timestamp", "timestamptz"):
        return timestamps(pa.array(values, pa.int64()), unit or "us", kind)
    if kind.name == "time":
        return times(pa.array(values, pa.int64()), unit or "us")
    if kind.name == "date":
        return dates(pa.array(values, pa.int32()).view(pa.date32()))
    if kind.name == "numeric" and logic.get("logicalType") != "decimal":
        return texts(values, decimal_text)
    if kind.name == "numeric":
        scale = int(logic.get("scale", 0))
        return texts(values, lambda value: decimal_of(value, scale))
    if kind.name == "bytea":
        return texts(values, hexadecimal)
    if kind.name == "json":
        return texts(values, as_json)
    if kind.name == "union":
        return pa.nulls(len(values), pa.string()), pa.array([one is not None for one in values])
    if kind.arrow == pa.string():
        return texts(values, str)
    return pa.array(values, kind.arrow), None
