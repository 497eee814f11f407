"""Conversion of JSON that its file declares to be a scalar, or a list of scalars."""

from __future__ import annotations

from dataclasses import replace

from schemas.column_types import ColumnType
from schemas.conversions.conversion import Conversion, ConversionProblem
from schemas.conversions.text_values import to_text


def scalar_text(value: str) -> str:
    """SQL for the text of a scalar: a string without its quotation marks."""
    return f"({value} ->> '$')"


def element_of(array: ColumnType) -> ColumnType:
    """The type of an array's elements."""
    return replace(array, name=array.name[1:], sql=array.sql.removesuffix("[]"))


def array_of(value: str, source: ColumnType, element: ColumnType, one: Conversion) -> Conversion:
    """Converts a list of scalars to the text of an array.

    Args:
        value: SQL for the list as JSON.
        source: The type of the list.
        element: The type of the array's elements.
        one: The conversion of a scalar's text, under the name ``one``, to that type.

    Raises:
        ConversionProblem: PostgreSQL would write the scalars in another form.
    """
    assert source.scalars is not None
    written_alike = source.scalars.is_textual or source.scalars.is_integer
    if element.is_textual and not written_alike and source.scalars.name != "bool":
        raise ConversionProblem(
            f"a list of {source.scalars} can't become {element}[]",
            "write the conversion with 'sql'",
        )
    items = f"from_json({value}, '[\"VARCHAR\"]')"
    text = to_text(f"({one.value})", element)
    escaped = rf"""replace(replace({text}, '\', '\\'), '"', '\"')"""
    shown = f"CASE WHEN one IS NULL THEN 'NULL' ELSE '\"' || {escaped} || '\"' END"
    literal = f"'{{' || array_to_string(list_transform({items}, lambda one: {shown}), ',') || '}}'"
    if one.reason is None:
        return Conversion(literal)
    reasons = f"list_transform({items}, lambda one: {one.reason})"
    reason = f"list_filter({reasons}, lambda reason: reason IS NOT NULL)[1]"
    return Conversion(f"CASE WHEN {reason} IS NULL THEN {literal} END", reason)
