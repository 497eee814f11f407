"""Batches for the writer of target rows, from plain rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from schemas.catalog import Relation


def arrow_type(table: Relation, name: str) -> pa.DataType:
    column = table.column(name)
    assert column is not None
    return column.type.arrow


def batch_of(
    table: Relation, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> pa.RecordBatch:
    """A batch of ``(ordinal, value, ..)`` rows in the Arrow types of the table's columns."""
    types = [pa.int32()] + [arrow_type(table, column) for column in columns]
    values: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [() for _ in types]
    return pa.RecordBatch.from_arrays(
        [pa.array(v, t) for v, t in zip(values, types, strict=True)], names=["_ordinal", *columns]
    )
