"""What becomes of each candidate: skipped, rejected, or accepted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.violations import ORDINAL
from transforms.keys.candidate_rows import numbers
from transforms.model.program import SKIP

EXISTING = "existing"
"""The name under which rows are skipped whose key is in the target already (skip_existing)."""


def skipped_candidates(rows: pa.RecordBatch) -> dict[int, str]:
    """The skip of each skipped candidate, by ordinal."""
    verdict = rows.column(SKIP)
    mask = pc.is_valid(verdict)
    names = verdict.filter(mask).to_pylist()
    return dict(zip(rows.column(ORDINAL).filter(mask).to_pylist(), names, strict=True))


def rejected_candidates(
    violations: pa.RecordBatch, candidates: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which candidates have a violation that is no warning."""
    mask = np.zeros(candidates, np.bool_)
    rejecting = violations.filter(pc.invert(violations.column("warning")))
    mask[numbers(rejecting.column(ORDINAL))] = True
    return mask


def without(
    violations: pa.RecordBatch, ordinals: np.ndarray[Any, np.dtype[np.int32]]
) -> pa.RecordBatch:
    """The violations of all candidates but those."""
    if not len(ordinals) or not len(violations):
        return violations
    return violations.filter(pa.array(~np.isin(numbers(violations.column(ORDINAL)), ordinals)))


def distinct(violations: pa.RecordBatch) -> pa.RecordBatch:
    """Each violation once, though several rows of one candidate have it."""
    names = violations.schema.names
    once = pa.Table.from_batches([violations]).group_by(names, use_threads=False).aggregate([])
    found = once.select(names).cast(violations.schema).combine_chunks().to_batches()
    return found[0] if found else violations


def count_by_code(
    violations: pa.RecordBatch,
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Violations by code, warnings by code, and rejected rows by code."""
    warning = violations.column("warning")
    rejecting = violations.filter(pc.invert(warning))
    counts = Counter(rejecting.column("code").to_pylist())
    warned = Counter(violations.filter(warning).column("code").to_pylist())
    pairs = set(
        zip(
            rejecting.column(ORDINAL).to_pylist(), rejecting.column("code").to_pylist(), strict=True
        )
    )
    return dict(counts), dict(warned), dict(Counter(code for _, code in pairs))
