"""The policies for a child whose parent is missing (``on_missing``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError

from schemas.specification.model import Part

_MISSING = ("reject", "set_null", "allow", "placeholder")


class Placeholder(Part):
    """A stand-in for a missing parent, with the values of its columns by name."""

    placeholder: dict[str, str]


def _read_policy(value: object) -> object:
    if value in _MISSING or isinstance(value, Placeholder):
        return value
    if not isinstance(value, Mapping):
        expected = f"{', '.join(map(repr, _MISSING[:-1]))} or {_MISSING[-1]!r}"
        raise PydanticKnownError("literal_error", {"expected": expected})
    values = value.get("placeholder")
    if set(value) != {"placeholder"} or not isinstance(values, Mapping) or not values:
        raise ValueError("values of a placeholder are written as 'placeholder: {COLUMN: VALUE}'")
    without = [name for name, text in values.items() if not isinstance(text, str | int | float)]
    if without:
        raise ValueError(f"a placeholder's '{without[0]}' is given no value")
    return Placeholder(
        placeholder={
            str(name): str(scalar).lower() if isinstance(scalar, bool) else str(scalar)
            for name, scalar in values.items()
        }
    )


Missing = Annotated[
    Literal["reject", "set_null", "allow", "placeholder"] | Placeholder,
    BeforeValidator(_read_policy),
]
