"""Commits rejected rows that were judged again: rows, violations and ledger in one transaction."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from schemas.errors import ErrorCode
from schemas.specification.policies import WriteMode
from schemas.violations import ORDINAL, Violation, violations_of
from transforms.commit.committed_candidates import write_candidates
from transforms.commit.partition_transaction import CommittedPartition
from transforms.commit.replayed_rows import (
    OpenViolation,
    ReplayedRecords,
    digest_of,
    open_violations,
    rejected_counts,
    still_unknown,
)
from transforms.compare.equal_keys import hashed_columns
from transforms.keys.candidate_rows import numbers
from transforms.keys.source_keys import source_keys
from transforms.ledger.counts import Counts
from transforms.ledger.findings import stored_claims
from transforms.ledger.lost_keys import rivals_of_written
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.ledger.written_rows import store_written_rows
from transforms.model.batch import CandidateBatch
from transforms.model.run_context import RunContext
from transforms.postgres.server_errors import is_missing_object_or_right
from transforms.sources.asked_rows import REPEATED
from transforms.target_rows.blame import Proof
from transforms.target_rows.target_errors import PASSING_STATES, TargetError

logger = logging.getLogger("transfuse")


def commit_replay(
    connection: psycopg.Connection[Any], context: RunContext, batch: CandidateBatch
) -> CommittedPartition:
    """Writes what is accepted of the rejected rows in ``batch``, and closes their violations.

    What is rejected again stays open. One transaction; rows that aren't rejected any more,
    because another replay was faster, are left out, and all where the load has been settled or
    the job started again meanwhile. Raises as ``commit_partition`` does.
    """
    partition = batch.partition
    program = context.programs[partition.load]
    ledger = WorkerLedger(connection, context)
    with connection.transaction():
        # A row that is committed after its load is settled would leave references open.
        if not ledger.loads.keep_unsettled(partition.load):
            return CommittedPartition(partition, Counts(), batch.violations.slice(0, 0), True)
        ledger.partitions.lock(partition)
        own = pc.fill_null(source_keys(batch.rows, program, partition.id), "")
        asked = [*pc.unique(own).to_pylist(), *batch.unread.column("source_key").to_pylist()]
        known = open_violations(connection, context, partition, asked)
        doubtful = _several(batch, known)
        if doubtful:
            logger.warning(
                "DATA-004 %s: %d source keys stand for several rows; those stay rejected",
                partition.place,
                len(doubtful),
            )
        still_unknown(connection, context, [v for v in known if v.source_key in doubtful])
        rejected = {v.source_key for v in known if v.rejects and v.source_key not in doubtful}
        known = [violation for violation in known if violation.source_key in rejected]
        batch = _only(batch, own, rejected)
        if not batch.candidates:
            return CommittedPartition(partition, Counts(), batch.violations.slice(0, 0), True)
        records = ReplayedRecords(connection, context, batch, known)
        batch = _without_made_keys(connection, context, batch, records)
        _forget_references(connection, context, batch, sorted(rejected))
        only_new = pa.array([], pa.int32())
        if program.write is not WriteMode.INSERT:
            only_new = _never_overwriting(connection, batch, records)
        counts, violations = write_candidates(
            connection, context, batch, records, _proof_of(known), only_new
        )
        if not counts.balances or counts.candidates != len(rejected):
            raise AssertionError(f"a replay of partition {partition.id} doesn't add up")
        store_written_rows(connection, context, partition.load, partition.id)
        ledger.partitions.amend(partition.load, partition.id, counts - rejected_counts(known))
    return CommittedPartition(partition, counts, violations)


def _proof_of(known: list[OpenViolation]) -> Proof:
    """Rejected rows are judged without the others that showed that they are at fault. What the
    server reports about itself or the database is still about them if they were rejected for it
    before."""
    reasons = {violation.kind[3] for violation in known}

    def proof(error: TargetError, _: int) -> bool:
        if error.sqlstate in reasons:
            return True
        missing = error.raised is not None and is_missing_object_or_right(error.raised)
        return not missing and not error.sqlstate.startswith(PASSING_STATES)

    return proof


def _several(batch: CandidateBatch, known: list[OpenViolation]) -> set[str]:
    """The source keys that stand for several rows: today, or in the error sink, where a row has a
    violation once. Which of them is which nobody knows, so they stay as they are."""
    times = Counter((violation.source_key, violation.kind) for violation in known)
    repeated = pc.equal(batch.unread.column("rule"), REPEATED[1])
    today = batch.unread.filter(repeated).column("source_key").to_pylist()
    return {key for (key, _), count in times.items() if count > 1} | set(today)


def _only(batch: CandidateBatch, own: pa.Array, keys: set[str]) -> CandidateBatch:
    """The candidates with one of ``keys``, numbered anew; ``own`` are the keys of the rows."""
    wanted = pa.array(sorted(keys), pa.string())
    rows = batch.rows.filter(pc.is_in(own, value_set=wanted))
    unread = batch.unread.filter(pc.is_in(batch.unread.column("source_key"), value_set=wanted))
    kept = np.unique(np.concatenate([numbers(t.column(ORDINAL)) for t in (rows, unread)]))
    if len(kept) == batch.candidates:
        return batch
    left = pc.is_in(batch.violations.column(ORDINAL), value_set=pa.array(kept, pa.int32()))
    rows, unread, violations = (
        table.set_column(
            table.schema.get_field_index(ORDINAL),
            table.schema.field(ORDINAL),
            pa.array(np.searchsorted(kept, numbers(table.column(ORDINAL))).astype(np.int32)),
        )
        for table in (rows, unread, batch.violations.filter(left))
    )
    count = len(kept)
    return replace(
        batch, rows=rows, unread=unread, violations=violations, read=count, candidates=count
    )


def _without_made_keys(
    connection: psycopg.Connection[Any],
    context: RunContext,
    batch: CandidateBatch,
    records: ReplayedRecords,
) -> CandidateBatch:
    """Rejects the rows in whose place a placeholder stands, and those for whose source key a
    target key is made already. An upsert writes into a placeholder."""
    program = records.program
    found = []
    if program.generated is not None or program.with_keys:
        keys = records.source_keys(batch.rows)
        made = connection.execute(
            sql.SQL(
                "SELECT source_key, placeholder FROM {} WHERE job_id = %s AND load = %s"
                " AND source_key = ANY(%s)"
            ).format(context.table("migration_keys")),
            [context.job, program.name, keys.to_pylist()],
        ).fetchall()
        for held, reason in ((True, "placeholder_stands"), (False, "existing_key")):
            taken = [key for key, placeholder in made if placeholder is held]
            found.append(_existing(batch, keys, taken, reason))
    if program.write is not WriteMode.UPSERT:
        targets = records.target_keys(batch.rows)
        standing = connection.execute(
            sql.SQL(
                "SELECT target_key FROM {} WHERE job_id = %s AND target_table = %s"
                " AND target_key = ANY(%s)"
            ).format(context.table("migration_placeholders")),
            [context.job, str(program.table), targets.drop_null().to_pylist()],
        ).fetchall()
        taken = [key for (key,) in standing]
        found.append(_existing(batch, targets, taken, "placeholder_stands"))
    return batch.having(batch.rows, *found)


def _forget_references(
    connection: psycopg.Connection[Any],
    context: RunContext,
    batch: CandidateBatch,
    source_keys: list[str],
) -> None:
    """Forgets the references that rows had when they were judged before, and that nobody has
    settled since: what the source says now is what counts."""
    connection.execute(
        sql.SQL(
            "DELETE FROM {} WHERE job_id = %s AND load = %s AND partition_id = %s"
            " AND source_key = ANY(%s)"
        ).format(context.table("migration_deferred")),
        [context.job, batch.partition.load, batch.partition.id, source_keys],
    )


def _existing(
    batch: CandidateBatch, keys: pa.Array, taken: list[str], reason: str
) -> pa.RecordBatch:
    """The violations of the rows with one of the ``taken`` keys."""
    mask = pc.fill_null(pc.is_in(keys, value_set=pa.array(taken, pa.string())), False)
    violation = Violation(ErrorCode.DATA_004, "key.existing", None, reason)
    return violations_of(pc.unique(batch.rows.column(ORDINAL).filter(mask)), violation)


def _never_overwriting(
    connection: psycopg.Connection[Any], batch: CandidateBatch, records: ReplayedRecords
) -> pa.Array:
    """The ordinals (int32) of candidates that may only be new in the target, whatever the load does
    with existing keys: those that have a key which isn't the one that was settled when they were
    read first, and all of a load whose keys a later one writes as well.

    What stands under another key is a row of this very job, perhaps; and so is what stands under
    the key of a row that had lost it.
    """
    context, partition = records.context, batch.partition
    if _written_over(context, partition.load):
        return pc.unique(batch.rows.column(ORDINAL))
    keys = records.source_keys(batch.rows)
    lost = stored_claims(connection, context, partition, pc.unique(keys))
    settled = dict(
        connection.execute(
            sql.SQL(
                "SELECT DISTINCT ON (source_key) source_key, target_key FROM {}"
                " WHERE job_id = %s AND load = %s AND partition_id = %s AND source_key = ANY(%s)"
                " ORDER BY source_key, id"
            ).format(context.table("migration_errors")),
            [context.job, partition.load, partition.id, pc.unique(keys).to_pylist()],
        ).fetchall()
    )
    targets = records.target_keys(batch.rows)
    holders = _holders(connection, records, targets)
    shared: set[str] = set()
    if hashed_columns(records.program):
        # Their texts don't show that the target takes two keys as one.
        tables = context.table("migration_errors"), context.table("migration_duplicates")
        wanted = pc.unique(keys).to_pylist()
        shared = rivals_of_written(connection, *tables, context.job, partition.load, wanted)
    only_new = {
        ordinal
        for ordinal, key, target in zip(
            batch.rows.column(ORDINAL).to_pylist(),
            keys.to_pylist(),
            targets.to_pylist(),
            strict=True,
        )
        if key in lost
        or key in shared
        or target is None
        or settled.get(key) != target
        or holders.get(digest_of(target), {key}) != {key}
    }
    return pa.array(sorted(only_new), pa.int32())


def _written_over(context: RunContext, load: str) -> bool:
    """Whether a later load writes into the load's table and its keys can be the same."""
    table = context.programs[load].table
    return any(
        load in needed and context.programs[later].table == table
        for later, needed in context.needs.items()
        if later in context.programs
    )


def _holders(
    connection: psycopg.Connection[Any], records: ReplayedRecords, targets: pa.Array
) -> dict[str, set[str | None]]:
    """By the digest of a target key the source keys (None: of another load) of the rows that
    earlier replays have written under it."""
    context = records.context
    wanted = [digest_of(target) for target in pc.unique(targets.drop_null()).to_pylist()]
    written = connection.execute(
        sql.SQL(
            "SELECT DISTINCT w.digest, load = %s, source_key"
            " FROM {} CROSS JOIN LATERAL unnest(written_keys) AS w(digest)"
            " WHERE job_id = %s AND target_table = %s AND written_keys && %s::text[]"
        ).format(context.table("migration_errors")),
        [records.program.name, context.job, str(records.program.table), wanted],
    ).fetchall()
    holders: dict[str, set[str | None]] = {}
    for digest, own, holder in written:
        holders.setdefault(digest, set()).add(holder if own else None)
    return holders
