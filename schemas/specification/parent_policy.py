"""The policies for a child whose parent is missing (``on_missing``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from schemas.allowed_members import check_member
from schemas.specification.model import Part
from schemas.specification.policies import OnMissing


class Placeholder(Part):
    """A stand-in for a missing parent, with the values of its columns by name."""

    placeholder: dict[str, str]


def _read_policy(value: object) -> object:
    if isinstance(value, Placeholder):
        return value
    if not isinstance(value, Mapping):
        check_member(value, OnMissing)
        return value
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
    OnMissing | Placeholder,
    BeforeValidator(_read_policy),
]
