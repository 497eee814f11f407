"""Drawing columns of values at random, and writing them down as a legacy system would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from demo.tables import Column

Mask = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]


def texts(values: Sequence[Any]) -> Column:
    """A column of Python values."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def either(mask: Mask, yes: Any, no: Any) -> Column:
    """The value or column ``yes`` where the mask is set, else ``no``."""
    both: Column = np.where(mask, np.asarray(yes, dtype=object), np.asarray(no, dtype=object))
    return both


def chance(share: float, count: int, rng: np.random.Generator) -> Mask:
    """True for about that share of so many rows."""
    drawn: Mask = rng.random(count) < share
    return drawn


def one_of(values: Sequence[Any], count: int, rng: np.random.Generator) -> Column:
    """One of the values for each row, all of them as often."""
    return texts(values)[rng.integers(0, len(values), count)]


def frequent(values: Sequence[str], count: int, rng: np.random.Generator) -> Column:
    """One of the values for each row, the first ones more often."""
    weights = 1 / (np.arange(len(values)) + 8)
    return texts(values)[rng.choice(len(values), count, p=weights / weights.sum())]


def days_of(years: npt.NDArray[np.float64]) -> npt.NDArray[np.timedelta64]:
    """Years as whole days."""
    return (years * 365.25).astype(np.int64).astype("timedelta64[D]")


def years_between(born: Days, on: Days | np.datetime64) -> npt.NDArray[np.int64]:
    """The age in whole years on a day."""
    return ((on - born).astype("timedelta64[D]").astype(np.int64) / 365.25).astype(np.int64)


def as_text(moments: Days, pattern: str) -> Column:
    """Dates or moments as text in a strftime pattern."""
    return texts(pc.strftime(pa.array(moments.astype("datetime64[s]")), pattern).to_pylist())


def as_moments(moments: Days, rng: np.random.Generator) -> Column:
    """Dates with times as text, a third of them in the older of two formats."""
    old = chance(0.35, len(moments), rng)
    return either(old, as_text(moments, "%m/%d/%Y %H:%M"), as_text(moments, "%Y-%m-%d %H:%M:%S"))


def as_typed(values: Column, rng: np.random.Generator) -> Column:
    """As clerks type: in capitals or not, and at times with a blank before or behind."""
    style = rng.random(len(values))
    return texts(
        [
            v.upper() if s < 0.6 else v.lower() if s < 0.65 else f" {v}" if s < 0.68
            else f"{v}  " if s < 0.72 else v
            for v, s in zip(values, style, strict=True)
        ]
    )  # fmt: skip


def partly_lower(values: Column, share: float, rng: np.random.Generator) -> Column:
    """That share of the values in small letters."""
    chosen = chance(share, len(values), rng)
    return texts([v.lower() if c else v for v, c in zip(values, chosen, strict=True)])
