"""``rejects reopen``: takes back what ``rejects discard`` has done."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table, forget_left_maps, stored_job
from pipelines.ledger.job_lock import job_lock
from pipelines.rejects.reject_filter import ROWS, Filter, never_ran
from pipelines.rejects.rows_to_replay import relabel_losers
from pipelines.terminal.console import print_json, stdout
from schemas.errors import TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect


def show_reopen(
    specification: Specification, wanted: Filter, everything: bool, as_json: bool
) -> None:
    """Reopens the discarded rows that ``wanted`` means, and prints how many.

    A row is reopened whole, as it was discarded: with all of its violations and warnings. A
    warning that was discarded without its row stays discarded if the row has been judged again
    since: the replay has recorded it again if it still holds. The ledger doesn't change, because
    discarded rows are counted as rejected too.

    Args:
        specification: That of the job.
        wanted: The filter, of discarded violations.
        everything: Whether all discarded rows are meant, which no filter says.
        as_json: Whether to print the counts as JSON.

    Raises:
        TransfuseError: USER-001 for neither a filter nor ``everything`` or both, and for a filter
            that matches nothing; USER-003 where the job is running or hasn't run.
    """
    problems = wanted.scope_problems(everything, "reopened")
    if problems:
        raise TransfuseError(problems)
    with connect(specification.target.url) as target:
        if stored_job(target, specification) is None:
            raise TransfuseError(never_ran(specification))
        wanted.refuse_no_match(target, specification, status="discarded")
        with job_lock(target, specification):
            forget_left_maps(target, specification)
            with target.transaction():
                counts = _reopen(target, specification, wanted)
                relabel_losers(target, specification)
    if as_json:
        print_json({"job": specification.job, **counts})
    else:
        listed = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        stdout().print(f"{specification.job}: reopened {listed}")


def _reopen(
    target: psycopg.Connection[Any], specification: Specification, wanted: Filter
) -> dict[str, int]:
    chosen, values = wanted.violations(specification, "discarded")
    row = target.execute(
        sql.SQL(
            "WITH chosen AS MATERIALIZED"
            "  (SELECT id, load, partition_id, source_key, warning FROM {chosen}),"
            # Each replay counts an attempt of all that is open of a row.
            " judged AS MATERIALIZED (SELECT load, partition_id, source_key,"
            "   max(attempts) FILTER (WHERE status = 'open') AS attempts,"
            "   max(changed_at) FILTER (WHERE status = 'replayed') AS replayed_at"
            "  FROM {errors} WHERE job_id = %(job)s AND status <> 'discarded' AND"
            "   (load, partition_id, source_key) IN"
            "    (SELECT load, partition_id, source_key FROM chosen WHERE warning)"
            "  GROUP BY 1, 2, 3),"
            " back AS (UPDATE {errors} e SET status = 'open', changed_at = now(),"
            "  changed_by = session_user"
            "  WHERE job_id = %(job)s AND status = 'discarded' AND (id IN (SELECT id FROM chosen)"
            "   OR (load, partition_id, source_key) IN"
            "    (SELECT load, partition_id, source_key FROM chosen WHERE NOT warning))"
            "  AND NOT (warning AND EXISTS (SELECT FROM judged j"
            "   WHERE (j.load, j.partition_id, j.source_key)"
            "     = (e.load, e.partition_id, e.source_key)"
            "   AND (j.attempts > e.attempts OR j.replayed_at > e.changed_at)))"
            "  RETURNING id, load, partition_id, source_key, warning)"
            " SELECT {rows} FILTER (WHERE NOT warning),"
            " count(*) FILTER (WHERE NOT warning), count(*) FILTER (WHERE warning) FROM back"
        ).format(errors=control_table(specification, "migration_errors"), chosen=chosen, rows=ROWS),
        values,
    ).fetchone()
    assert row is not None
    return dict(zip(("rows", "violations", "warnings"), row, strict=True))
