"""What a conversion is: SQL for the value, and SQL for why there is none."""

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
"""Why a value can't be converted; the position counts from 1 in the engine's columns."""


class ConversionProblem(ValueError):
    """No conversion between two types keeps the meaning.

    ``remedy`` says what to do instead, if the message doesn't.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(message)


@dataclass(frozen=True)
class Conversion:
    """``value`` gives the converted value, NULL where it fails; ``reason`` a text then.

    Both are SQL over the given value. ``reason`` is NULL SQL (None) for a conversion that
    can't fail. A NULL value converts to NULL without a reason.
    """

    value: str
    reason: str | None = None


def cast_if_matching(value: str, grammar: str, cast: str) -> str:
    return f"CASE WHEN regexp_full_match({value}, '{grammar}') THEN {cast} END"


def failure_reason(value: str, converted: str, reason: str = CONVERSION) -> str:
    return f"CASE WHEN {value} IS NOT NULL AND {converted} IS NULL THEN '{reason}' END"


def fallible(value: str, converted: str, reason: str = CONVERSION) -> Conversion:
    return Conversion(converted, failure_reason(value, converted, reason))


def let(name: str, value: str, body: str) -> str:
    """SQL for ``body``, in which ``name`` stands for ``value``: written and computed once."""
    return f"list_transform([{value}], lambda {name}: {body})[1]"
