"""Rows and the candidates that they belong to: a candidate has several where its code expands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from schemas.violations import ORDINAL


def first_rows(rows: pa.RecordBatch) -> pa.RecordBatch:
    """One row for each candidate: the first of its rows."""
    ordinals = numbers(rows.column(ORDINAL))
    _, first = np.unique(ordinals, return_index=True)
    return rows if len(first) == len(ordinals) else rows.take(pa.array(first))


def numbers(ordinals: pa.Array) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Ordinals as an array of numpy."""
    array: np.ndarray[Any, np.dtype[np.int32]] = ordinals.to_numpy(zero_copy_only=False)
    return array
