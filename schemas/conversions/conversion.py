"""A conversion: SQL for the value, and SQL for the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

CONVERSION = "conversion"
TOO_LONG = "too_long"
OUT_OF_RANGE = "out_of_range"
INEXACT = "inexact"
AMBIGUOUS = "ambiguous"
AMBIGUOUS_TIME = "ambiguous_time"
NO_SUCH_TIME = "no_such_time"
REASONS = (
    CONVERSION,
    TOO_LONG,
    OUT_OF_RANGE,
    INEXACT,
    AMBIGUOUS,
    AMBIGUOUS_TIME,
    NO_SUCH_TIME,
)
"""The reasons why a value can't be converted; columns of reasons have the position from 1 on."""


class ConversionProblem(ValueError):
    """No conversion between two types keeps the meaning.

    Attributes:
        remedy: The alternative; empty where the message names it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(message)


@dataclass(frozen=True)
class Conversion:
    """SQL that converts a value. NULL becomes NULL without a reason.

    Attributes:
        value: SQL for the converted value, which is NULL where the conversion fails.
        reason: SQL for the reason of a failure, one of ``REASONS``; None for a conversion that
            can't fail.
    """

    value: str
    reason: str | None = None


def cast_if_matching(value: str, grammar: str, cast: str) -> str:
    """SQL for ``cast`` where the whole text matches a regular expression, else NULL."""
    return f"CASE WHEN regexp_full_match({value}, '{grammar}') THEN {cast} END"


def failure_reason(value: str, converted: str, reason: str = CONVERSION) -> str:
    """SQL for the reason where a value is converted to NULL."""
    return f"CASE WHEN {value} IS NOT NULL AND {converted} IS NULL THEN '{reason}' END"


def fallible(value: str, converted: str, reason: str = CONVERSION) -> Conversion:
    """A conversion that fails where its SQL gives NULL.

    Args:
        value: SQL for the value.
        converted: SQL for the converted value, NULL where there is none.
        reason: The reason of each failure.
    """
    return Conversion(converted, failure_reason(value, converted, reason))


def let(name: str, value: str, body: str) -> str:
    """SQL for ``body``, which computes ``value`` once and calls it ``name``."""
    return f"list_transform([{value}], lambda {name}: {body})[1]"
