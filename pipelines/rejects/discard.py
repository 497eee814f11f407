"""``rejects discard``: give up rejected rows, with the reason on record."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table, forget_left_maps, stored_job
from pipelines.ledger.job_lock import job_lock
from pipelines.rejects.reject_filter import ROWS, Filter, never_ran
from pipelines.rejects.rows_to_replay import relabel_losers
from pipelines.terminal.confirmation import is_confirmed
from pipelines.terminal.console import print_json, stderr, stdout
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect


def show_discard(
    specification: Specification,
    wanted: Filter,
    everything: bool,
    reason: str,
    yes: bool,
    as_json: bool,
) -> ExitStatus:
    """Discard the rows that match the filter, and print how many.

    A row is discarded whole: all of its open violations, warnings too. It stays counted as
    rejected, because it isn't in the target, and its references no longer need to be settled. A
    warning that matches the filter itself is discarded without its row. Of rows without a source
    key each violation counts as a row.

    Args:
        specification: That of the job.
        wanted: The filter.
        everything: Whether to discard all rejected rows, for which there is no filter.
        reason: Why; stored with each violation.
        yes: Whether to go ahead without asking on a terminal.
        as_json: Whether to print the counts as JSON.

    Returns:
        STOPPED if the answer on the terminal was no, else COMPLETE.

    Raises:
        TransfuseError: USER-001 for a blank reason, for neither a filter nor ``everything`` or
            both, and for a filter that matches nothing; USER-003 where the job is running or
            hasn't run.
    """
    _refuse_unclear(wanted, everything, reason)
    with connect(specification.target.url) as target:
        if stored_job(target, specification) is None:
            raise TransfuseError(never_ran(specification))
        wanted.refuse_no_match(target, specification)
        # Before the job is locked: nobody has to wait for the answer.
        if not is_confirmed(_question(target, specification, wanted), yes):
            stderr().print("Nothing was discarded.")
            return ExitStatus.STOPPED
        with job_lock(target, specification):
            forget_left_maps(target, specification)
            with target.transaction():
                counts = _discard(target, specification, wanted, reason.strip())
                relabel_losers(target, specification)
    if as_json:
        print_json({"job": specification.job, **counts})
    else:
        listed = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        stdout().print(f"{specification.job}: discarded {listed}")
    return ExitStatus.COMPLETE


def _refuse_unclear(wanted: Filter, everything: bool, reason: str) -> None:
    problems = []
    if not reason.strip():
        remedy = "say why these rows are given up"
        problems.append(Problem(ErrorCode.USER_001, "the reason is blank", "--reason", remedy))
    problems += wanted.scope_problems(everything, "discarded")
    if problems:
        raise TransfuseError(problems)


def _question(target: psycopg.Connection[Any], specification: Specification, wanted: Filter) -> str:
    """The question on the terminal, with the number of rows and violations that match."""
    chosen, values = wanted.violations(specification)
    row = target.execute(
        sql.SQL("SELECT {} FILTER (WHERE NOT warning), count(*) FROM {}").format(ROWS, chosen),
        values,
    ).fetchone()
    assert row is not None
    rows, violations = row
    return (
        f"Give up {rows:,} rejected rows of the job '{specification.job}', and"
        f" {violations:,} violations and warnings that the filter names?"
    )


def _discard(
    target: psycopg.Connection[Any], specification: Specification, wanted: Filter, note: str
) -> dict[str, int]:
    chosen, values = wanted.violations(specification)
    row = target.execute(
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
    assert row is not None
    return dict(zip(("rows", "violations", "warnings"), row, strict=True))
