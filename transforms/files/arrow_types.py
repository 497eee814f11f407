"""The types of Parquet and Avro files in PostgreSQL's terms, and their values as these travel."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import ColumnType, parse_type

_NAMES = (
    (pa.types.is_boolean, "bool"),
    (lambda t: t in (pa.int8(), pa.uint8(), pa.int16()), "int2"),
    (lambda t: t in (pa.uint16(), pa.int32()), "int4"),
    (lambda t: t in (pa.uint32(), pa.int64()), "int8"),
    (lambda t: t == pa.uint64(), "numeric(20,0)"),
    (lambda t: t in (pa.float16(), pa.float32()), "float4"),
    (pa.types.is_float64, "float8"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
    (lambda t: pa.types.is_timestamp(t) and t.tz is None, "timestamp"),
    (pa.types.is_timestamp, "timestamptz"),
    (lambda t: pa.types.is_decimal(t) and t.scale >= 0, "numeric({t.precision},{t.scale})"),
    (pa.types.is_decimal, "numeric"),
    (lambda t: _is_bytes(t), "bytea"),
    (lambda t: pa.types.is_nested(t), "json"),
)


def column_type(kind: pa.DataType) -> ColumnType:
    """The PostgreSQL type that holds all values of an Arrow type; text where there is none.

    Nested values are JSON.
    """
    if pa.types.is_dictionary(kind):
        return column_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        is_uuid = kind.extension_name == "arrow.uuid"
        return parse_type("uuid") if is_uuid else column_type(kind.storage_type)
    name = next((name for fits, name in _NAMES if fits(kind)), "text")
    return parse_type(name.format(t=kind))


def travelling(array: pa.Array, kind: ColumnType) -> tuple[pa.Array, pa.BooleanArray | None]:
    """The values of an Arrow array as ``kind.arrow``, and a mask of what that can't represent.

    Those are NULL then: timestamps finer than a microsecond, or outside of what 64 bits of
    them hold.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array.type, pa.BaseExtensionType) and kind.name != "uuid":
        array = array.storage
    if pa.types.is_timestamp(array.type):
        return _timestamps(array, kind.arrow)
    if kind.name == "uuid":
        return _texts(array, str), None
    if kind.name == "bytea":
        return _texts(array, lambda value: "\\x" + value.hex()), None
    if kind.name == "json":
        return _texts(array, lambda value: json.dumps(value, default=str)), None
    if kind.name == "time":
        return _texts(array, lambda value: value.isoformat()), None
    return array.cast(kind.arrow), None


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(fits(kind) for fits in tests)


def _texts(array: pa.Array, written: Any) -> pa.Array:
    values = array.to_pylist()
    return pa.array([None if value is None else written(value) for value in values], pa.string())


_MICROSECONDS = {"s": 1_000_000, "ms": 1000, "us": 1}


def _timestamps(array: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, pa.BooleanArray | None]:
    raw = array.view(pa.int64())
    unit = array.type.unit
    if unit == "ns":
        # Arrow's division cuts towards zero, and what has a remainder is lost anyway.
        microseconds = pc.divide(raw, 1000)
        lost = pc.not_equal(pc.multiply(microseconds, 1000), raw)
    else:
        factor = _MICROSECONDS[unit]
        most = (2**63 - 2) // factor
        lost = pc.or_(pc.greater(raw, most), pc.less(raw, -most))
        microseconds = pc.multiply(pc.if_else(lost, 0, raw), factor)
    lost = pc.fill_null(lost, False)
    if not pc.any(lost).as_py():
        return microseconds.view(wanted), None
    kept = pc.if_else(lost, pa.scalar(None, pa.int64()), microseconds)
    return kept.view(wanted), lost
