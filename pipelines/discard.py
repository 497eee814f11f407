"""``rejects discard``: rejected rows are given up for good, with the reason on record."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pipelines.console import print_json, stdout
from pipelines.job import control_table, forget_left_maps, stored_job
from pipelines.job_lock import job_lock
from pipelines.reject_filter import ROWS, Filter
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.connections import connect


def show_discard(specification: Specification, wanted: Filter, reason: str, as_json: bool) -> None:
    """Discards the rows that ``wanted`` means, and says how many.

    A row is discarded whole: all of its open violations, warnings too. It stays counted as
    rejected, because it isn't in the target, and its references need no settling any more. A
    warning that is meant itself is discarded without its row. ``reason`` is stored with each
    violation. Of rows without a source key each violation counts as one.

    Raises TransfuseError: USER-001 for a blank reason, USER-003 where the job is running or
    hasn't run.
    """
    if not reason.strip():
        told = "the reason is blank"
        remedy = "say why these rows are given up"
        raise TransfuseError(Problem(ErrorCode.USER_001, told, "--reason", remedy))
    with connect(specification.target.url) as target:
        if stored_job(target, specification) is None:
            told = f"the job '{specification.job}' has not run yet"
            raise TransfuseError(Problem(ErrorCode.USER_003, told, "", "'migrate' it first"))
        with job_lock(target, specification):
            forget_left_maps(target, specification)
            counts = _discard(target, specification, wanted, reason.strip())
    if as_json:
        print_json({"job": specification.job, **counts})
        return
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    stdout().print(f"{specification.job}: discarded {told}")


def _discard(
    target: psycopg.Connection[Any], specification: Specification, wanted: Filter, note: str
) -> dict[str, int]:
    chosen, values = wanted.violations(specification)
    found = target.execute(
        sql.SQL(
            "WITH chosen AS MATERIALIZED"
            "  (SELECT id, load, partition_id, source_key, warning FROM {chosen}),"
            " gone AS (UPDATE {errors} e SET status = 'discarded', note = %(note)s,"
            "  changed_at = now(), changed_by = session_user"
            "  WHERE job_id = %(job)s AND status = 'open' AND (id IN (SELECT id FROM chosen)"
            "   OR (load, partition_id, source_key) IN"
            "    (SELECT load, partition_id, source_key FROM chosen WHERE NOT warning))"
            "  RETURNING id, load, partition_id, source_key, warning),"
            " settled AS (DELETE FROM {deferred} WHERE job_id = %(job)s"
            "  AND (load, partition_id, source_key) IN"
            "   (SELECT load, partition_id, source_key FROM gone WHERE NOT warning))"
            " SELECT {rows} FILTER (WHERE NOT warning),"
            " count(*) FILTER (WHERE NOT warning), count(*) FILTER (WHERE warning) FROM gone"
        ).format(
            errors=control_table(specification, "migration_errors"),
            deferred=control_table(specification, "migration_deferred"),
            chosen=chosen,
            rows=ROWS,
        ),
        {**values, "note": note},
    ).fetchone()
    assert found is not None
    return dict(zip(("rows", "violations", "warnings"), found, strict=True))
