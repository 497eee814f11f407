"""Python functions as a site would write them for ``transform``: an Arrow array in, one out."""

from __future__ import annotations

import pyarrow as pa


def backwards(array: pa.Array) -> pa.Array:
    """Turns texts around; refuses ``BOOM``."""
    return pa.array([None if text is None else turned(text) for text in array.to_pylist()])


def turned(text: str) -> str:
    if text == "BOOM":
        raise ValueError(text)
    return text[::-1]


def number_of_characters(array: pa.Array) -> pa.Array:
    """Not text, which the steps that follow must cope with."""
    return pa.array([None if text is None else len(text) for text in array.to_pylist()], pa.int32())
