"""Lists of codes beside a batch: for each list a column that says which rows' codes are in it.

The lists of a rule have thousands of codes. Written into the SQL they would be parsed again for
every batch, and a join wouldn't keep the rows' order; Arrow's ``is_in`` does.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from transforms.model.row_conditions import Membership
from transforms.sql.duckdb_engine import with_column


def with_memberships(rows: pa.RecordBatch, memberships: Sequence[Membership]) -> pa.RecordBatch:
    """Add the column of each membership (bool; NULL is in no list).

    Codes are compared without dots and in capitals, each distinct one once.
    """
    codes: dict[str, pa.DictionaryArray] = {}
    for membership in memberships:
        if membership.name in rows.schema.names:
            continue
        column = membership.column
        if column not in codes:
            codes[column] = _by_code(rows.column(column))
        encoded = codes[column]
        listed = pc.is_in(encoded.dictionary, value_set=membership.codes)
        rows = with_column(rows, membership.name, pc.fill_null(listed.take(encoded.indices), False))
    return rows


def _by_code(values: pa.Array) -> pa.DictionaryArray:
    encoded = values.dictionary_encode()
    bare = pc.replace_substring(pc.utf8_trim_whitespace(encoded.dictionary), ".", "")
    return pa.DictionaryArray.from_arrays(encoded.indices, pc.utf8_upper(bare))
