"""Commits rejected rows that are tried again: rows, violations and counts in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ErrorCode
from schemas.specification.policies import WriteMode
from transforms.commit.committed_candidates import write_candidates
from transforms.commit.existing_keys import insert_only_candidates, reject_existing_keys
from transforms.commit.partition_transaction import CommittedPartition
from transforms.commit.replayed_candidates import ambiguous_keys, select_candidates
from transforms.commit.replayed_records import ReplayedRecords
from transforms.keys.source_keys import source_keys
from transforms.ledger.counts import Counts
from transforms.ledger.open_violation import OpenViolation, count_rejected
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.batch import CandidateBatch
from transforms.model.log_event import EventPlace, log_event
from transforms.model.run_context import RunContext
from transforms.postgres.server_errors import is_missing_object_or_right
from transforms.target_rows.blame import Proof
from transforms.target_rows.target_errors import PASSING_STATES, TargetError

logger = logging.getLogger("transfuse.steps")


def commit_replay(
    connection: psycopg.Connection[Any], context: RunContext, batch: CandidateBatch
) -> CommittedPartition:
    """Write what is accepted of rejected rows, and close their violations.

    Rows that are rejected again stay open. Rows that aren't rejected any more, because another
    replay was faster, are left out, and all of them if the load has been settled or the job
    started again meanwhile.

    Args:
        connection: To the target, outside of a transaction.
        context: The run's.
        batch: Rejected rows of one partition.

    Returns:
        The counts of the rows that were committed, with their violations.

    Raises:
        psycopg.Error: The server can't be reached, or refuses for a reason that isn't in the rows;
            then nothing is written.
    """
    partition = batch.partition
    program = context.programs[partition.load]
    ledger = WorkerLedger(connection, context)
    nothing = CommittedPartition(partition, Counts(), batch.violations.slice(0, 0), True)
    with connection.transaction():
        # A row that is committed after its load is settled would leave references open.
        if not ledger.loads.keep_unsettled(partition.load):
            return nothing
        ledger.partitions.lock(partition)
        keys = pc.fill_null(source_keys(batch.rows, program, partition.id), "")
        violations = _lock_violations(ledger, batch, keys)
        rejected = {violation.source_key for violation in violations}
        batch = select_candidates(batch, keys, rejected)
        if not batch.candidates:
            return nothing
        records = ReplayedRecords(ledger, batch, violations)
        batch = reject_existing_keys(ledger, batch, records)
        ledger.deferred.remove_rows(partition, sorted(rejected))
        only_new = pa.array([], pa.int32())
        if program.write is not WriteMode.INSERT:
            only_new = insert_only_candidates(ledger, batch, records)
        counts, committed = write_candidates(
            ledger, batch, records, _proof_of(violations), only_new
        )
        if not counts.balances or counts.candidates != len(rejected):
            raise AssertionError(f"a replay of partition {partition.id} doesn't add up")
        ledger.written_rows.store(partition.load, partition.id)
        ledger.partitions.amend(partition.load, partition.id, counts - count_rejected(violations))
    return CommittedPartition(partition, counts, committed)


def _lock_violations(
    ledger: WorkerLedger, batch: CandidateBatch, keys: pa.Array
) -> list[OpenViolation]:
    """Lock the open violations of the rows that are still rejected and can be distinguished."""
    partition = batch.partition
    asked = [*pc.unique(keys).to_pylist(), *batch.unread.column("source_key").to_pylist()]
    violations = ledger.violations.lock_open(partition, asked)
    ambiguous = ambiguous_keys(batch, violations)
    if ambiguous:
        log_event(
            logger,
            logging.WARNING,
            f"{len(ambiguous)} source keys stand for several rows; those stay rejected",
            EventPlace.of(ledger.context, partition=partition),
            ErrorCode.DATA_004,
        )
    ledger.violations.count_attempt([v for v in violations if v.source_key in ambiguous])
    rejected = {v.source_key for v in violations if v.rejects and v.source_key not in ambiguous}
    return [violation for violation in violations if violation.source_key in rejected]


def _proof_of(violations: Sequence[OpenViolation]) -> Proof:
    """Whom to blame for an error of the target.

    Rejected rows are tried without the others that showed that they are at fault. What the server
    reports about itself or the database is still about them if they were rejected for it before.
    """
    reasons = {violation.kind[3] for violation in violations}

    def proof(error: TargetError, _: int) -> bool:
        if error.sqlstate in reasons:
            return True
        missing = error.raised is not None and is_missing_object_or_right(error.raised)
        return not missing and not error.sqlstate.startswith(PASSING_STATES)

    return proof
