"""Losers of duplicate keys: whether the rows that beat them still claim the key.

A winner may be rejected after all. Its losers don't take its place by themselves, because it may be
corrected and replayed later, and which row arrives would depend on who comes first. Only once it
was discarded, or was replayed and isn't written under the key, the next one in the order is
released: a replay judges it as if it had won.

Released rows are marked between the runs' steps and never by a worker that judges rows, so
what a replay does doesn't depend on which of its partitions comes first.
"""

from __future__ import annotations

from collections.abc import Collection

from schemas.messages import message_of
from transforms.ledger.ledger_session import LedgerSession

REASON_AS_JUDGED = (
    "CASE WHEN reason IN ('winner_rejected', 'winner_gone') THEN 'duplicate' ELSE reason END"
)
"""SQL for the reason with which a row was rejected, before ``relabel_losers`` specified it."""


def relabel_losers(session: LedgerSession, loads: Collection[str]) -> None:
    """Mark the losers that are released, and store in the violation of each loser why it lost.

    The row that holds a key is the first by ``place`` that isn't given up. If it is rejected, its
    violation is the root cause of those that come after it. Of losers without a place none is
    released, since which of them comes next isn't known.

    Args:
        session: That of the job, in a transaction.
        loads: The loads of the losers.

    Raises:
        psycopg.Error: The server can't be reached.
    """
    for load in loads:
        session.execute(_RELABEL, {"load": load, **_messages()})


def _messages() -> dict[str, str]:
    reasons = ("duplicate", "winner_rejected", "winner_gone")
    return {reason: message_of("DATA-004", "key.duplicate", None, reason) for reason in reasons}


_RELABEL = """
WITH lost AS MATERIALIZED
  (SELECT partition_id, ordinal, source_key, winner_key, key_digest, place, released
   FROM {migration_duplicates} WHERE job_id = %(job)s AND load = %(load)s),
members AS MATERIALIZED
  (SELECT DISTINCT key_digest, 1 AS place, winner_key AS source_key FROM lost
   UNION ALL SELECT key_digest, place, source_key FROM lost),
judged AS MATERIALIZED
  (SELECT source_key, min(id) FILTER (WHERE status = 'open') AS cause,
    bool_and(status <> 'open') AS closed, (array_agg(target_key ORDER BY id))[1] AS target_key
   FROM {migration_errors} WHERE job_id = %(job)s AND load = %(load)s AND NOT warning
   AND source_key IN (SELECT source_key FROM members) GROUP BY source_key),
given_up AS MATERIALIZED
  (SELECT source_key FROM judged WHERE closed
   EXCEPT SELECT e.source_key FROM {migration_errors} e JOIN judged j USING (source_key)
   WHERE e.job_id = %(job)s AND e.load = %(load)s AND md5(j.target_key) = ANY (e.written_keys)),
standing AS MATERIALIZED
  (SELECT DISTINCT ON (key_digest) key_digest, place, cause
   FROM members m LEFT JOIN judged USING (source_key)
   WHERE NOT EXISTS (SELECT FROM given_up g WHERE g.source_key = m.source_key)
   ORDER BY key_digest, place),
verdicts AS MATERIALIZED
  (SELECT l.partition_id, l.ordinal, l.source_key, l.released AS was_released,
    coalesce(s.place = l.place, false) AS released,
    CASE WHEN s.place IS NOT NULL THEN s.cause END AS cause
   FROM lost l LEFT JOIN standing s USING (key_digest)),
marked AS
  (UPDATE {migration_duplicates} d SET released = v.released FROM verdicts v
   WHERE v.released <> v.was_released AND d.job_id = %(job)s AND d.load = %(load)s
   AND d.partition_id = v.partition_id AND d.ordinal = v.ordinal)
UPDATE {migration_errors} e SET root_cause_id = CASE WHEN NOT v.released THEN v.cause END,
  reason = v.reason,
  message = CASE v.reason WHEN 'duplicate' THEN %(duplicate)s
   WHEN 'winner_gone' THEN %(winner_gone)s ELSE %(winner_rejected)s END
FROM
  (SELECT *, CASE WHEN released THEN 'winner_gone' WHEN cause IS NULL THEN 'duplicate'
    ELSE 'winner_rejected' END AS reason FROM verdicts) v
WHERE e.job_id = %(job)s AND e.load = %(load)s AND e.partition_id = v.partition_id
AND e.source_key = v.source_key AND e.status = 'open' AND e.rule_id = 'key.duplicate'
AND (e.reason, e.root_cause_id) IS DISTINCT FROM
 (v.reason, CASE WHEN NOT v.released THEN v.cause END)
"""
