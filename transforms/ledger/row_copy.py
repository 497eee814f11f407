"""Adds rows to a control table with COPY."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from psycopg import sql

from transforms.ledger.ledger_session import LedgerSession
from transforms.postgres.copy_encoding import encode_rows


def copy_rows(
    session: LedgerSession, table: str, count: int, columns: Mapping[str, pa.Array | str]
) -> None:
    """Add rows of the session's job to a control table; nothing is sent if there are none.

    Args:
        session: That of the job.
        table: The control table, with a column ``job_id``.
        count: The number of rows.
        columns: The values of the other columns by name; a text stands for the same in each row.

    Raises:
        psycopg.Error: The server can't be reached, or refuses the rows.
    """
    if not count:
        return
    values: dict[str, pa.Array | str] = {"job_id": session.job, **columns}
    arrays = [pa.repeat(v, count) if isinstance(v, str) else v for v in values.values()]
    rows = pa.RecordBatch.from_arrays(
        [a.cast(pa.string()) if pa.types.is_null(a.type) else a for a in arrays], list(values)
    )
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        session.table(table), sql.SQL(", ").join(map(sql.Identifier, values))
    )
    with session.connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in encode_rows(rows, "csv"):
            copy.write(block)
