"""Which hashes of keys occur more than once: all other rows need no comparison."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def repeated_hashes(batches: Iterable[pa.RecordBatch]) -> pa.Array:
    """The values of ``hash`` that several rows have, of batches as ``competing_keys`` gives.

    Most keys have one row, which wins without a comparison.
    """
    hashes = np.concatenate([batch.column("hash").to_numpy() for batch in batches])
    distinct, counts = np.unique(hashes, return_counts=True)
    return pa.array(distinct[counts > 1], pa.uint64())


def having_hash(batch: pa.RecordBatch, hashes: pa.Array) -> pa.RecordBatch:
    """The rows with one of these ``hashes``."""
    return batch.filter(pc.is_in(batch.column("hash"), value_set=hashes))
