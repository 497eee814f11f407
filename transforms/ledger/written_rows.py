"""Records by which transaction numbers the rows of a load are known in the target.

Stored is a row for each transaction and table, of the transaction itself: its ``transaction`` is
the ``xmin`` that it has. Where that doesn't hold any more, the database was restored since, and all
rows have the numbers of the restore.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from transforms.model.run_context import RunContext


def store_written_rows(
    connection: psycopg.Connection[Any], context: RunContext, load: str, partition_id: str
) -> None:
    """Gathers the marks of the current transaction, outside of any subtransaction.

    The numbers of subtransactions follow that of their transaction, so all of them can be stored
    with the epoch that a row's ``xmin`` lacks.

    Args:
        connection: the target, in the transaction that has written rows.
        context: the run's.
        load: the load whose rows they are.
        partition_id: the partition, empty for what concerns the whole load.

    Raises:
        psycopg.Error: the server can't be reached or refuses.
    """
    connection.execute(
        sql.SQL(
            "WITH marks AS (DELETE FROM {marks} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s RETURNING xmin::text::int8 AS short, relation, written_as,"
            " written, inserted),"
            " wrote AS (SELECT relation, written_as, short, sum(written)::int8 AS written,"
            " sum(inserted)::int8 AS inserted FROM marks GROUP BY 1, 2, 3),"
            " numbered AS (SELECT w.*, t.top + mod(short - mod(t.top, {epoch}) + {epoch}, {epoch})"
            " AS xid, t.top FROM wrote w, (SELECT txid_current() AS top) AS t)"
            " INSERT INTO {stored} (job_id, load, partition_id, relation, written_as, written,"
            " inserted, transaction, xids, rows)"
            " SELECT %(job)s, %(load)s, %(id)s, relation, written_as, sum(written), sum(inserted),"
            " top, array_agg(xid ORDER BY xid), array_agg(written ORDER BY xid)"
            " FROM numbered GROUP BY relation, written_as, top"
        ).format(
            epoch=sql.Literal(EPOCH),
            marks=context.table("migration_write_marks"),
            stored=context.table("migration_written_rows"),
        ),
        {"job": context.job, "load": load, "id": partition_id},
    )


EPOCH = 1 << 32
"""How many numbers of transactions there are before they begin again in a row's ``xmin``."""
