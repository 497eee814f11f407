"""Decimal numbers with an exponent, written without one: ``1.5e-3`` is ``0.0015``."""

from __future__ import annotations

import re

import pyarrow as pa

PLAIN_DECIMAL = "transfuse_plain_decimal"
"""The name under which a connection of DuckDB has ``plain_decimals``."""

BEYOND = "beyond"
"""Stands for a number with more digits than a numeric can have."""

_PARTS = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)[eE]([+-]?[0-9]+)")
_MOST_DIGITS, _MOST_DECIMALS = 131_072, 16_383
"""Of PostgreSQL's numeric, before and behind the point."""


def plain_decimals(numbers: pa.ChunkedArray) -> pa.Array:
    """Writes numbers without their exponents.

    Args:
        numbers: Decimal text (string) with an exponent.

    Returns:
        The same numbers without one (string); ``BEYOND`` for those that no numeric can hold.
    """
    return pa.array([_plain(text) for text in numbers.to_pylist()], pa.string())


def _plain(text: str | None) -> str | None:
    match = _PARTS.fullmatch(text or "")
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups()
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    if len(exponent) > 7:
        return BEYOND
    point = len(digits) - len(fraction) + int(exponent)
    digits = digits.rstrip("0")
    if point > _MOST_DIGITS or len(digits) - point > _MOST_DECIMALS:
        return BEYOND
    sign = "-" if sign == "-" else ""
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    return f"{sign}{digits[:point]}.{digits[point:]}"
