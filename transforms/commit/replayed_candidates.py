"""Which candidates of a replayed batch are committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.violations import ORDINAL
from transforms.keys.candidate_rows import numbers
from transforms.ledger.open_violation import OpenViolation
from transforms.model.batch import CandidateBatch
from transforms.sources.asked_rows import REPEATED


def ambiguous_keys(batch: CandidateBatch, violations: Sequence[OpenViolation]) -> set[str]:
    """The source keys that stand for several rows, today or in the error sink.

    There a row has a violation once. Which row is which can't be known, so they stay as they are.
    """
    times = Counter((violation.source_key, violation.kind) for violation in violations)
    repeated = pc.equal(batch.unread.column("rule"), REPEATED[1])
    today = batch.unread.filter(repeated).column("source_key").to_pylist()
    return {key for (key, _), count in times.items() if count > 1} | set(today)


def select_candidates(
    batch: CandidateBatch, row_keys: pa.Array, keys: Collection[str]
) -> CandidateBatch:
    """Select the candidates with certain source keys.

    Args:
        batch: The batch.
        row_keys: The source keys of its rows (text).
        keys: Those that are kept.

    Returns:
        The batch with the ordinals of the candidates from 0.
    """
    wanted = pa.array(sorted(keys), pa.string())
    rows = batch.rows.filter(pc.is_in(row_keys, value_set=wanted))
    unread = batch.unread.filter(pc.is_in(batch.unread.column("source_key"), value_set=wanted))
    kept = np.unique(np.concatenate([numbers(t.column(ORDINAL)) for t in (rows, unread)]))
    if len(kept) == batch.candidates:
        return batch
    is_kept = pc.is_in(batch.violations.column(ORDINAL), value_set=pa.array(kept, pa.int32()))
    rows, unread, violations = (
        table.set_column(
            table.schema.get_field_index(ORDINAL),
            table.schema.field(ORDINAL),
            pa.array(np.searchsorted(kept, numbers(table.column(ORDINAL))).astype(np.int32)),
        )
        for table in (rows, unread, batch.violations.filter(is_kept))
    )
    count = len(kept)
    return replace(
        batch, rows=rows, unread=unread, violations=violations, read=count, candidates=count
    )
