"""The types of Parquet and Avro files in PostgreSQL's terms, and their values as these travel."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import ColumnType, parse_type
from schemas.wider_types import NOTHING

Travelled = tuple[pa.Array, pa.BooleanArray | None]
"""Values as they travel, and a mask of those that can't, if there are any."""

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
    if pa.types.is_null(kind):
        return NOTHING
    if isinstance(kind, pa.BaseExtensionType):
        is_uuid = kind.extension_name == "arrow.uuid"
        return parse_type("uuid") if is_uuid else column_type(kind.storage_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return list_type(column_type(kind.value_type))
    if pa.types.is_fixed_size_binary(kind):
        return fixed_bytes(kind.byte_width)
    name = next((name for fits, name in _NAMES if fits(kind)), "text")
    return parse_type(name.format(t=kind))


def fixed_bytes(size: int) -> ColumnType:
    """Bytes of which each value has as many: 16 of them may be a uuid."""
    return ColumnType("bytea", f"fixed({size})", length=size)


def list_type(element: ColumnType) -> ColumnType:
    """JSON that is a list; of scalars it can become an array."""
    scalars = None if element.name in ("json", "union") else element
    return ColumnType("json", "json", scalars=scalars, is_list=scalars is not None)


def travelling(array: pa.Array, kind: ColumnType) -> Travelled:
    """The values of an Arrow array as ``kind.arrow``, and a mask of what that can't represent.

    Those are NULL then: timestamps and times finer than a microsecond, what lies outside of
    what these hold, dates that would mean infinity, text that isn't UTF-8.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array.type, pa.BaseExtensionType):
        if kind.name == "uuid":
            return texts(array, str)
        array = array.storage
    if pa.types.is_timestamp(array.type):
        return timestamps(array.view(pa.int64()), array.type.unit, kind)
    if pa.types.is_time(array.type):
        width = pa.int32() if array.type.bit_width == 32 else pa.int64()
        return times(array.view(width).cast(pa.int64()), array.type.unit)
    if pa.types.is_date(array.type):
        return dates(array)
    if pa.types.is_decimal(array.type):
        return texts(array, lambda value: format(value, "f"))
    if kind.name == "bytea":
        return texts(array, hexadecimal)
    if kind.name == "json":
        return texts(array, as_json)
    if kind.is_textual:
        return _only_utf8(array)
    return array.cast(kind.arrow), None


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(fits(kind) for fits in tests)


def texts(array: pa.Array | list[Any], written: Callable[[Any], str]) -> Travelled:
    """Values as texts; what ``written`` refuses with a ValueError is lost."""
    values = array if isinstance(array, list) else [_value(one) for one in array]
    converted, lost = [], []
    for value in values:
        text = None
        if value is not None and value is not _LOST:
            try:
                text = written(value)
                text.encode()
            except (ValueError, TypeError):
                # TypeError: a key of a map that can't be one of an object.
                text = None
        converted.append(text)
        lost.append(text is None and value is not None)
    return pa.array(converted, pa.string()), pa.array(lost) if any(lost) else None


_LOST = object()


def _value(scalar: pa.Scalar) -> Any:
    """The value as Python has it, if it can."""
    try:
        # Of a map that has a key twice, an object would keep one.
        return scalar.as_py(maps_as_pydicts="strict")
    except (ValueError, KeyError, OverflowError, pa.ArrowInvalid):
        return _LOST


def hexadecimal(value: bytes) -> str:
    return "\\x" + value.hex()


def as_json(value: Any) -> str:
    """JSON, in which bytes are hexadecimal and what else JSON doesn't know is text.

    Raises ValueError for numbers that JSON hasn't got.
    """
    return json.dumps(value, default=_in_json, ensure_ascii=False, allow_nan=False)


def _in_json(value: Any) -> str:
    if isinstance(value, bytes):
        return hexadecimal(value)
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


_LARGEST_DAY = 2**31 - 1


def dates(array: pa.Array) -> Travelled:
    """Dates as date32. Its largest number would mean infinity."""
    if pa.types.is_date64(array.type):
        days = pc.divide(array.view(pa.int64()), 86_400_000)
    else:
        days = array.view(pa.int32()).cast(pa.int64())
    lost = pc.greater_equal(pc.abs(days), _LARGEST_DAY)
    return _without(days, lost, lambda kept: kept.cast(pa.int32()).view(pa.date32()))


_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY = 86_400_000_000


def times(raw: pa.Array, unit: str) -> Travelled:
    """Times of day (int64, ``unit`` s to ns) as texts, 24:00:00 among them."""
    microseconds, lost = _microseconds(raw, unit)
    lost = pc.or_(lost, pc.or_(pc.less(microseconds, 0), pc.greater(microseconds, _DAY)))
    return _without(microseconds, lost, lambda kept: texts(kept.to_pylist(), _time)[0])


def _time(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, second = divmod(seconds, 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"
    return f"{text}.{fraction:06d}" if fraction else text


def timestamps(raw: pa.Array, unit: str, kind: ColumnType) -> Travelled:
    """Timestamps (int64, ``unit`` s to ns since 1970) as ``kind.arrow``."""
    microseconds, lost = _microseconds(raw, unit)
    return _without(microseconds, lost, lambda kept: kept.view(kind.arrow))


def _microseconds(raw: pa.Array, unit: str) -> tuple[pa.Array, pa.BooleanArray]:
    """Microseconds, and where they aren't exact or don't fit (largest and smallest mean
    infinity)."""
    per_second = _PER_SECOND[unit]
    if per_second > 1_000_000:
        divisor = per_second // 1_000_000
        # Arrow's division cuts towards zero, and what has a remainder is lost anyway.
        converted = pc.divide(raw, divisor)
        return converted, pc.not_equal(pc.multiply(converted, divisor), raw)
    factor = 1_000_000 // per_second
    most = (2**63 - 2) // factor
    lost = pc.or_(pc.greater(raw, most), pc.less(raw, -most))
    return pc.multiply(pc.if_else(lost, 0, raw), factor), lost


def _without(
    values: pa.Array, lost: pa.BooleanArray, made: Callable[[pa.Array], pa.Array]
) -> Travelled:
    """What is made of the values that aren't lost, and the mask if any are."""
    lost = pc.fill_null(lost, False)
    if not pc.any(lost).as_py():
        return made(values), None
    return made(pc.if_else(lost, pa.scalar(None, values.type), values)), lost


def _only_utf8(array: pa.Array) -> Travelled:
    text = array.cast(pa.string())
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return texts(text.cast(pa.binary()).to_pylist(), bytes.decode)
    return text, None
