"""The transactions that wrote the rows of a load, in ``migration_written_rows``.

Each transaction stores a row for each table itself, so that row's ``xmin`` is its ``transaction``.
If it isn't any more, the database was restored since, and all rows have the numbers of the restore.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from schemas.catalog import Relation
from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.write_marks import WriteMarks, WrittenAs


@dataclass(frozen=True)
class WriteRecords:
    """Marks the rows that the current transaction writes, and stores the marks at its end.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def new_marks(
        self, load: str, partition_id: str, table: Relation, written_as: WrittenAs
    ) -> WriteMarks:
        """Give what marks rows of a table while they are written.

        Args:
            load: The load.
            partition_id: The partition, empty for what concerns the whole load.
            table: The table of the target.
            written_as: Why its rows are written.
        """
        marks = self.session.table("migration_write_marks")
        return WriteMarks(marks, self.session.job, load, partition_id, table, written_as)

    def store(self, load: str, partition_id: str) -> None:
        """Gather the marks of the current transaction, outside of any subtransaction.

        The numbers of subtransactions follow that of their transaction, so all of them can be
        stored with the epoch that a row's ``xmin`` lacks.

        Args:
            load: The load whose rows they are.
            partition_id: The partition, empty for what concerns the whole load.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        self.session.execute(_STORE, {"load": load, "id": partition_id}, epoch=sql.Literal(EPOCH))


_STORE = (
    "WITH marks AS (DELETE FROM {migration_write_marks} WHERE job_id = %(job)s AND load = %(load)s"
    " AND partition_id = %(id)s RETURNING xmin::text::int8 AS short, relation, written_as,"
    " written, inserted),"
    " wrote AS (SELECT relation, written_as, short, sum(written)::int8 AS written,"
    " sum(inserted)::int8 AS inserted FROM marks GROUP BY 1, 2, 3),"
    " numbered AS (SELECT w.*, t.top + mod(short - mod(t.top, {epoch}) + {epoch}, {epoch})"
    " AS xid, t.top FROM wrote w, (SELECT txid_current() AS top) AS t)"
    " INSERT INTO {migration_written_rows} (job_id, load, partition_id, relation, written_as,"
    " written, inserted, transaction, xids, rows)"
    " SELECT %(job)s, %(load)s, %(id)s, relation, written_as, sum(written), sum(inserted),"
    " top, array_agg(xid ORDER BY xid), array_agg(written ORDER BY xid)"
    " FROM numbered GROUP BY relation, written_as, top"
)

EPOCH = 1 << 32
"""How many numbers of transactions there are before they begin again in a row's ``xmin``."""
