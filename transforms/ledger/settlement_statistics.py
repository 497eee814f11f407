"""Has the server gather statistics before a load is settled."""

from __future__ import annotations

from psycopg import sql

from transforms.ledger.ledger_session import LedgerSession


def gather_statistics(session: LedgerSession, load: str) -> None:
    """Analyze the control tables that settling a load is about to join.

    Without statistics the server assumes one row, and would compare each of 200,000 losers with
    each of their violations. Not to be called within a transaction, whose locks another load would
    wait for.

    Args:
        session: That of a run.
        load: The load; nothing is done if it is settled.

    Raises:
        psycopg.Error: The server can't be reached.
    """
    row = session.execute(
        "SELECT EXISTS (SELECT FROM {migration_duplicates} WHERE {of_load}),"
        " EXISTS (SELECT FROM {migration_deferred} WHERE {of_load})"
        " FROM {migration_loads} WHERE {of_load} AND NOT settled",
        {"load": load},
        of_load=sql.SQL("job_id = %(job)s AND load = %(load)s"),
    ).fetchone()
    has_losers, has_references = row or (False, False)
    names = {
        *(("migration_errors", "migration_duplicates") if has_losers else ()),
        *(("migration_errors", "migration_deferred", "migration_keys") if has_references else ()),
    }
    for name in sorted(names):
        session.execute("ANALYZE {table}", table=session.table(name))
