"""The result of writing a batch: rows written, refused, and left out."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.violations import ORDINAL, concat_violations


@dataclass(frozen=True)
class WriteOutcome:
    """What became of a batch.

    ``written`` rows by the server's own count; ``inserted`` of them are new, the others updates.
    ``refused`` are violations (VIOLATION_SCHEMA), none twice, ordered by ordinal, code and rule.
    ``existing`` (int32, ascending) are the ordinals left out because a key of theirs
    stood in the target.
    """

    written: int
    inserted: int
    refused: pa.RecordBatch
    existing: pa.Array

    def __add__(self, other: WriteOutcome) -> WriteOutcome:
        """What became of two batches that have no candidate in common."""
        existing = sorted({*self.existing.to_pylist(), *other.existing.to_pylist()})
        return WriteOutcome(
            self.written + other.written,
            self.inserted + other.inserted,
            concat_violations([self.refused, other.refused]),
            pa.array(existing, pa.int32()),
        )


def distinct(violations: pa.RecordBatch) -> pa.RecordBatch:
    """Each violation once, ordered by ordinal, code and rule."""
    if not violations.num_rows:
        return violations
    table = pa.Table.from_batches([violations])
    kept = table.group_by(table.schema.names).aggregate([])
    order = [(name, "ascending") for name in (ORDINAL, "code", "rule", "field", "reason")]
    return kept.sort_by(order).cast(table.schema).combine_chunks().to_batches()[0]
