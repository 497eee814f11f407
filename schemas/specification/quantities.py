"""Quantities as people write them: ``2GB``, ``5s``, ``5%``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def _number_and_unit(value: object, units: dict[str, float] | dict[str, int], kind: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    if not match or match[2].lower() not in units:
        known = ", ".join(unit for unit in units if unit)
        raise ValueError(f"{value!r} is no {kind}: a number with one of {known}")
    return float(match[1]) * units[match[2].lower()]


def read_bytes(value: object) -> int:
    """``2GB`` in bytes; KB, MB, GB are powers of 1000, KiB, MiB, GiB powers of 1024."""
    return int(_number_and_unit(value, _BYTES, "size"))


def read_seconds(value: object) -> float:
    """``5s``, ``200ms``, ``2m`` in seconds; a bare number is seconds."""
    return _number_and_unit(value, _SECONDS, "duration")


def read_share(value: object) -> float | int:
    """``5%`` as the fraction 0.05; a bare whole number as that many rows."""
    text = str(value).strip()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if match:
        if float(match[1]) > 100:
            raise ValueError(f"{text!r} is over 100%")
        return float(match[1]) / 100
    if re.fullmatch(r"\d+", text):
        return int(text)
    raise ValueError(f"{text!r} is neither a percentage (5%) nor a number of rows")


def read_percent(value: object) -> float:
    """``70%`` as the fraction 0.7, also above 100%."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", str(value).strip())
    if not match:
        raise ValueError(f"{str(value)!r} is no percentage, such as 70%")
    return float(match[1]) / 100


Bytes = Annotated[int, BeforeValidator(read_bytes)]
Seconds = Annotated[float, BeforeValidator(read_seconds)]
Percent = Annotated[float, BeforeValidator(read_percent)]
Share = Annotated["float | int", BeforeValidator(read_share)]
