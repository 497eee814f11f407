"""Candidates that are asked for by their source keys, each once or with the reason why not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ErrorCode
from schemas.violations import ORDINAL
from transforms.keys.source_keys import source_keys as keys_of
from transforms.model.program import LoadProgram
from transforms.model.source_rows import UNREAD_SCHEMA, SourceRows

GONE = (ErrorCode.DATA_001, "row.gone", "gone")
"""The violation of a row that the source doesn't have any more."""

NO_CANDIDATE = (ErrorCode.DATA_001, "row.no_candidate", "no_candidate")
"""The violation of a candidate that its row, which may be there, doesn't give any more."""

REPEATED = (ErrorCode.DATA_004, "row.repeated", "source_key_repeated")
"""The violation of a row whose source key is that of others too: any of them could be meant."""


def asked_rows(rows: SourceRows, program: LoadProgram, source_keys: Sequence[str]) -> SourceRows:
    """Of ``rows`` those with one of ``source_keys``; every key has one candidate.

    A key that no row has, or several, is a candidate without a row: GONE (of rows that are spread
    NO_CANDIDATE) or REPEATED.
    """
    wanted = pa.array(dict.fromkeys(source_keys), pa.string())
    numbered = rows.batch.append_column(ORDINAL, pa.array(range(len(rows.batch)), pa.int32()))
    keys = pc.fill_null(keys_of(numbered, program, ""), "")
    unread_keys = rows.unread.column("source_key")
    times = dict.fromkeys(wanted.to_pylist(), 0)
    for key in (*keys.to_pylist(), *unread_keys.to_pylist()):
        if key in times:
            times[key] += 1
    single = pa.array([key for key, count in times.items() if count == 1], pa.string())
    is_asked = pc.is_in(keys, value_set=single)
    batch = rows.batch.filter(is_asked)
    unread = rows.unread.filter(pc.is_in(unread_keys, value_set=single))
    gone = GONE if program.spread is None else NO_CANDIDATE
    others = [(key, gone if count == 0 else REPEATED) for key, count in times.items() if count != 1]
    ordinals = np.arange(len(batch), len(batch) + len(unread) + len(others), dtype=np.int32)
    unread_columns = [unread.column(name).to_pylist() for name in UNREAD_SCHEMA.names[1:]]
    for key, (code, rule, reason) in others:
        for column, value in zip(unread_columns, (key, code.value, rule, reason), strict=True):
            column.append(value)
    return SourceRows(
        batch,
        {name: mask.filter(is_asked) for name, mask in rows.unrepresentable.items()},
        pa.RecordBatch.from_arrays(
            [pa.array(ordinals), *(pa.array(column, pa.string()) for column in unread_columns)],
            schema=UNREAD_SCHEMA,
        ),
        pa.array(np.arange(len(batch), dtype=np.int32)),
        oversized=rows.oversized,
    )
