"""The type that holds the values of several column types exactly, as of files of several years.

A type is wider only if each value keeps its own text and its meaning. A ``double precision`` lacks
some of the whole numbers of a ``bigint``, a day is no moment, and a time without a zone may be any.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from schemas.column_types import INTEGERS, ColumnType

NOTHING = ColumnType("text", "null")
"""The type of a file's column that holds nothing but NULL: any other type is wider."""

_EXACT_BITS = {"float4": 24, "float8": 53}
_TEXTS = frozenset({"text", "varchar", "bpchar", "name"})


def wider_type(one: ColumnType, other: ColumnType) -> ColumnType | None:
    """The type that holds all values of both.

    Args:
        one: A type of a source's column.
        other: Another one.

    Returns:
        The type; None where no type holds all values exactly.
    """
    if one == other or NOTHING in (one, other):
        return other if one == NOTHING else one
    if one.name == other.name and one.name not in ("json", "union"):
        return _without_limits(one, other)
    names = {one.name, other.name}
    if names <= _TEXTS:
        return ColumnType("text", "text")
    if names <= {*INTEGERS, "numeric"}:
        if "numeric" in names:
            return ColumnType("numeric", "numeric")
        return max(one, other, key=lambda kind: INTEGERS[kind.name])
    if names <= {*INTEGERS, *_EXACT_BITS}:
        return _wider_float(one, other)
    if one.is_list and other.is_list:
        return _wider_list(one, other)
    return None


def widest_type(types: Iterable[ColumnType]) -> ColumnType | None:
    """The type that holds all values of several types; None where there is none."""
    widest: ColumnType | None = NOTHING
    for kind in types:
        widest = None if widest is None else wider_type(widest, kind)
    return widest


def _without_limits(one: ColumnType, other: ColumnType) -> ColumnType:
    """The type of two that differ in length, precision or scale."""
    if one.name == "float8":
        return one if one.holds_reals else other
    same_scale = one.scale is not None and one.scale == other.scale
    if one.name == "numeric" and same_scale:
        return max(one, other, key=lambda kind: kind.precision or 0)
    return ColumnType(one.name, one.name)


def _wider_float(one: ColumnType, other: ColumnType) -> ColumnType | None:
    """The float that holds all values of a float and of an integer or another float."""
    floats = [kind for kind in (one, other) if kind.name in _EXACT_BITS]
    bits = max((INTEGERS[kind.name] for kind in (one, other) if kind.is_integer), default=0)
    widest = max(floats, key=lambda kind: _EXACT_BITS[kind.name])
    if bits <= _EXACT_BITS[widest.name] and len({kind.name for kind in floats}) == 1:
        return widest
    if bits > _EXACT_BITS["float8"]:
        return None
    return ColumnType("float8", "double precision", holds_reals=True)


def _wider_list(one: ColumnType, other: ColumnType) -> ColumnType | None:
    if one.scalars is None or other.scalars is None:
        return None
    element = wider_type(one.scalars, other.scalars)
    if element is None or element.holds_reals:
        return None
    return replace(one, scalars=element)
