"""The shape of a batch that can be written."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from schemas.violations import ORDINAL


def order_rows(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Pick the columns of a schema, and bring the rows into the order of their ordinals.

    Args:
        rows: ``_ordinal`` (int32, no NULL) and other columns.
        schema: the columns that are wanted, ``_ordinal`` among them.

    Returns:
        The rows in the columns of ``schema``; those of one ordinal in the order of the batch.

    Raises:
        ValueError: a column is missing or has another type.
    """
    for field in schema:
        if rows.schema.get_field_index(field.name) < 0:
            raise ValueError(f"the batch has no column {field.name!r}")
        if rows.column(field.name).type != field.type:
            raise ValueError(f"column {field.name!r} is not {field.type}")
    rows = rows.select(schema.names)
    ordinals = rows.column(ORDINAL).to_numpy()
    if np.all(ordinals[:-1] <= ordinals[1:]):
        return rows
    return rows.take(pa.array(np.argsort(ordinals, kind="stable")))
