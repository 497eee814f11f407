"""What an earlier version found when it compared the rows of a load that is begun.

It didn't store all that this version needs of it, so the rows are compared again. Rows are written
already by what was found first, so both have to agree.
"""

from __future__ import annotations

from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.ledger.ledger_session import LedgerSession


def refuse_other_findings(session: LedgerSession, load: str) -> None:
    """Refuse to go on with a load whose rows an earlier version compared with another result.

    Args:
        session: That of the run.
        load: A load whose rows have been compared, and of which that isn't marked yet.

    Raises:
        TransfuseError: SYS-004; the load is then refused by the next runs, which name the command
            that starts it over.
        psycopg.Error: The server refuses a statement.
    """
    with session.connection.transaction():
        is_other = session.execute(_IS_OTHER, {"load": load}).fetchone() == (True,)
        if is_other:
            session.execute(_REFUSE, {"load": load, "reason": _REASON})
        else:
            session.execute(
                "DELETE FROM {migration_earlier_findings} WHERE job_id = %(job)s"
                " AND load = %(load)s",
                {"load": load},
            )
    if is_other:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                _REASON,
                f"table {load}",
                "start again; the message then says how to continue",
            )
        )


_REASON = (
    "an earlier version compared its rows and has written some of them, and this version finds"
    " other duplicates"
)

_IS_OTHER = """
WITH earlier AS
    (SELECT rule, partition_id, ordinal, winner_key FROM {migration_earlier_findings}
     WHERE job_id = %(job)s AND load = %(load)s),
now AS
    (SELECT '' AS rule, partition_id, ordinal, winner_key FROM {migration_duplicates}
     WHERE job_id = %(job)s AND load = %(load)s
     UNION ALL SELECT rule, partition_id, ordinal, NULL FROM {migration_group_findings}
     WHERE job_id = %(job)s AND load = %(load)s)
SELECT EXISTS (SELECT FROM {migration_partitions}
        WHERE job_id = %(job)s AND load = %(load)s AND state = 'done')
    AND EXISTS ((TABLE earlier EXCEPT TABLE now) UNION ALL (TABLE now EXCEPT TABLE earlier))
"""
"""Of a load of which something is committed before its rows are compared, an earlier version did
both."""

_REFUSE = """
INSERT INTO {migration_refused_loads} (job_id, load, verb, reason)
VALUES (%(job)s, %(load)s, 'migrate', %(reason)s) ON CONFLICT DO NOTHING
"""
