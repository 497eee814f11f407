"""Avro's unions of several scalar types as one type of PostgreSQL that holds all their values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from schemas.column_types import TEXT, ColumnType, parse_type

_WHOLE, _BINARY = {"int": "int4", "long": "int8"}, {"float": "float4", "double": "float8"}
_TEXTS = ("string", "enum")
_NESTED = ("record", "error", "array", "map")


def union_type(members: Sequence[Any]) -> ColumnType:
    """The type of a column of a union.

    Numbers become the widest of them, or numeric where a 64-bit integer meets a float. Numbers,
    booleans and strings together become JSON, which converts as its scalar does. With records,
    arrays or maps the values are JSON.

    Args:
        members: the schemas of the union, without ``null``.

    Returns:
        The type; one that converts to none where the file doesn't say which member a value has.
    """
    names = [_name(member) for member in members]
    if any(name in _NESTED for name in names):
        return parse_type("json")
    listed = f"a union of {', '.join(str(_show(member)) for member in members)}"
    has_logic = any(isinstance(m, dict) and "logicalType" in m for m in members)
    if has_logic or not set(names) <= {*_WHOLE, *_BINARY, *_TEXTS, "boolean"}:
        return ColumnType("union", listed)
    if set(names) <= set(_TEXTS):
        return TEXT
    if not set(names) <= {*_WHOLE, *_BINARY}:
        return ColumnType("json", listed, scalars=TEXT)
    if set(names) <= set(_WHOLE):
        return parse_type("int8" if "long" in names else "int4")
    if set(names) <= set(_BINARY) or "long" not in names:
        # Each int is a float8 exactly; a float next to it as well.
        return parse_type("float8" if set(names) != {"float"} else "float4")
    return parse_type("numeric")


def decimal_text(value: float) -> str:
    """A number as decimal text without an exponent."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return format(Decimal(repr(value)), "f")


def _name(member: Any) -> str:
    return str(member["type"] if isinstance(member, dict) else member)


def _show(member: Any) -> object:
    return member.get("logicalType", member["type"]) if isinstance(member, dict) else member
