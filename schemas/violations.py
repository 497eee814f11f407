"""Violations as Arrow columns; none holds a value of a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ErrorCode

ORDINAL = "_ordinal"
"""The column that says which candidate of its partition a row, or a violation, belongs to."""

VIOLATION_SCHEMA = pa.schema(
    [
        pa.field(ORDINAL, pa.int32(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("warning", pa.bool_(), nullable=False),
        pa.field("root_cause", pa.string()),
    ]
)
"""``rule`` is the name in the specification, or ``FIELD.type`` for a check without a name;
``warning`` marks a violation that doesn't reject the row; ``root_cause`` is the id of the violation
that this one follows from."""


@dataclass(frozen=True)
class Violation:
    """A failed check, apart from the candidates that failed it."""

    code: ErrorCode
    rule: str
    field: str | None = None
    reason: str | None = None
    warning: bool = False


def violations_of(
    ordinals: pa.Array | Sequence[int],
    violation: Violation,
    reasons: pa.Array | None = None,
    root_causes: pa.Array | None = None,
) -> pa.RecordBatch:
    """Records one violation for several candidates.

    Args:
        ordinals: The candidates (int32).
        violation: The failed check.
        reasons: A reason for each candidate (string) in place of the violation's own.
        root_causes: For each candidate the id of the violation it follows from (string), or null.

    Returns:
        A row of ``VIOLATION_SCHEMA`` for each candidate.
    """
    if not isinstance(ordinals, pa.Array):
        ordinals = pa.array(ordinals, pa.int32())
    count = len(ordinals)
    return pa.RecordBatch.from_arrays(
        [
            ordinals.cast(pa.int32()),
            pa.repeat(violation.code.value, count),
            pa.repeat(violation.rule, count),
            pa.repeat(pa.scalar(violation.field, pa.string()), count),
            pa.repeat(pa.scalar(violation.reason, pa.string()), count)
            if reasons is None
            else reasons.cast(pa.string()),
            pa.repeat(violation.warning, count),
            pa.nulls(count, pa.string()) if root_causes is None else root_causes.cast(pa.string()),
        ],
        schema=VIOLATION_SCHEMA,
    )


def no_violations() -> pa.RecordBatch:
    """An empty batch of ``VIOLATION_SCHEMA``."""
    return pa.RecordBatch.from_pylist([], schema=VIOLATION_SCHEMA)


def concat_violations(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """All rows of ``batches`` in one batch, in their order."""
    kept = [b for b in batches if b.num_rows]
    if not kept:
        return no_violations()
    return kept[0] if len(kept) == 1 else pa.concat_batches(kept)


def rejected_ordinals(violations: pa.RecordBatch) -> pa.Array:
    """The distinct ordinals (int32) of violations that aren't warnings."""
    return pc.unique(violations.filter(pc.invert(violations.column("warning"))).column(ORDINAL))
