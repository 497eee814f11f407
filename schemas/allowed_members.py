"""Fields of a model that take only some members of an enum."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError


def allow(*members: Enum) -> BeforeValidator:
    """A validator for a field whose type is an enum of which it takes only some members.

    Args:
        members: The members that the field takes, in the order in which an error lists them.

    Returns:
        The validator, to be used in ``Annotated``.
    """

    def validate(value: object) -> object:
        check_member(value, members)
        return value

    return BeforeValidator(validate)


def check_member(value: object, members: Iterable[Enum]) -> None:
    """Checks that a value is one of some members, or the word of one.

    Args:
        value: The value as a specification has it.
        members: The members that are allowed, whose values are words.

    Raises:
        PydanticKnownError: It isn't. The error is the one with which pydantic refuses a value
            that isn't in an enum: it lists the words.
    """
    words = [str(member.value) for member in members]
    if value not in words:
        *first, last = map(repr, words)
        expected = f"{', '.join(first)} or {last}" if first else last
        raise PydanticKnownError("enum", {"expected": expected})
