"""The values of a row as the texts that the server would give them."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from schemas.column_types import ColumnType
from transforms.references.check import key_texts


def row_texts(
    rows: pa.RecordBatch, types: Mapping[str, ColumnType], position: int
) -> dict[str, str | None]:
    """The text of each column of ``types`` in one row of a batch; None for NULL.

    Columns that the batch doesn't have are left out.
    """
    row = rows.slice(position, 1)
    return {
        name: key_texts(row.column(name), kind)[0].as_py()
        for name, kind in types.items()
        if name in row.schema.names
    }
