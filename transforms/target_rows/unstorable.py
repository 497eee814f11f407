"""Values that no PostgreSQL server can hold, whatever the table says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.catalog import Column
from schemas.errors import ErrorCode
from schemas.violations import ORDINAL, Violation, concat_violations, violations_of

_FIRST_DAY = -2_440_588
"""4714-11-24 BC, Julian day 0, in days from 1970-01-01."""

_LAST_DAY = 2_145_042_905
"""5874897-12-31. The last timestamp (294276-12-31) lies beyond Arrow's largest."""

_DAY = 86_400_000_000

_NAME_BYTES = 63
"""Bytes that the type name holds (NAMEDATALEN less one); COPY in CSV cuts what is longer."""


def find_unstorable(rows: pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
    """The violations (DATA-003) of values outside of what PostgreSQL's types can hold.

    ``rows`` has ``_ordinal`` and a column for each of ``columns``, by name. Reasons:
    ``character_not_in_repertoire`` for a NUL character, ``datetime_field_overflow`` for a
    day that PostgreSQL doesn't count to, ``name_too_long``.
    """
    violations = []
    for column in columns:
        for reason, mask in _masks(rows.column(column.name), column):
            if pc.any(mask).as_py():
                ordinals = pc.unique(rows.column(ORDINAL).filter(mask))
                rule = f"{column.name}.{reason}"
                violation = Violation(ErrorCode.DATA_003, rule, column.name, reason)
                violations.append(violations_of(ordinals, violation))
    return concat_violations(violations)


def _masks(values: pa.Array, column: Column) -> list[tuple[str, pa.Array]]:
    if pa.types.is_string(values.type):
        masks = []
        if _may_hold_nul(values):
            masks.append(("character_not_in_repertoire", pc.match_substring(values, "\0")))
        if column.type.name == "name":
            masks.append(("name_too_long", pc.greater(pc.binary_length(values), _NAME_BYTES)))
        return masks
    if pa.types.is_date32(values.type):
        return [("datetime_field_overflow", _outside(values.view(pa.int32()), 1, 2**31 - 1))]
    if pa.types.is_timestamp(values.type):
        return [("datetime_field_overflow", _outside(values.view(pa.int64()), _DAY, 2**63 - 1))]
    return []


def _may_hold_nul(values: pa.Array) -> bool:
    """Whether a zero byte is in the text at all: bytes are looked through faster than values."""
    text = values.buffers()[2]
    return text is not None and not np.frombuffer(text, np.uint8).all()


def _outside(counts: pa.Array, per_day: int, infinity: int) -> pa.Array:
    kind = counts.type
    low = pa.scalar(_FIRST_DAY * per_day, kind)
    high = pa.scalar(min(_LAST_DAY * per_day, infinity), kind)
    infinite = pc.equal(pc.abs(counts), pa.scalar(infinity, kind))
    return pc.and_(pc.or_(pc.less(counts, low), pc.greater(counts, high)), pc.invert(infinite))
