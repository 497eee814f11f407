"""COPY .. FROM STDIN of an Arrow batch."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pyarrow as pa
from psycopg import sql

from transforms.postgres.copy_encoding import encode_rows


def copy_in(
    connection: psycopg.Connection,
    table: sql.Composable,
    columns: Sequence[str],
    rows: pa.RecordBatch,
    copy_format: str,
) -> int:
    """Copy the columns of ``rows``, in order, into ``columns`` of ``table``.

    Explicit values of identity columns are taken as they are. Returns the number of the
    server's COPY tag: rows that a trigger dropped aren't in it. Raises psycopg.Error.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        table,
        sql.SQL(", ").join([sql.Identifier(c) for c in columns]),
        sql.SQL(copy_format),
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for block in encode_rows(rows, copy_format):
                copy.write(block)
        return cursor.rowcount
