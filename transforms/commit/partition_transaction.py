"""Commits a partition: rows, violations and ledger row in one transaction, each exactly once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pyarrow as pa

from transforms.commit.committed_candidates import write_candidates
from transforms.commit.row_records import RowRecords
from transforms.ledger.counts import Counts
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.batch import CandidateBatch
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.target_rows.target_errors import TargetError


@dataclass(frozen=True)
class CommittedPartition:
    """A partition that is in the ledger.

    Attributes:
        partition: The partition.
        counts: Those of the rows that were committed now.
        violations: Those that were committed with them.
        again: Whether it had been committed before, and nothing was written now.
    """

    partition: Partition
    counts: Counts
    violations: pa.RecordBatch = field(repr=False)
    again: bool = False


def commit_partition(
    connection: psycopg.Connection[Any], context: RunContext, batch: CandidateBatch
) -> CommittedPartition:
    """Write what is accepted of a batch, record what isn't, and close its ledger row.

    One transaction; of two that commit the same partition the second finds it done.

    Args:
        connection: To the target, outside of a transaction.
        context: The run's.
        batch: A partition.

    Returns:
        The counts, with the violations that were committed.

    Raises:
        psycopg.Error: The server can't be reached, or refuses for a reason that isn't in the rows;
            then nothing is written.
    """
    started = time.monotonic()
    partition = batch.partition
    ledger = WorkerLedger(connection, context)
    snapshot = context.sources[context.programs[partition.load].source].snapshot
    with connection.transaction():
        if not ledger.partitions.claim(partition, snapshot):
            return CommittedPartition(partition, Counts(), batch.violations.slice(0, 0), True)
        records = RowRecords(ledger, batch)

        def proof(_: TargetError, candidates: int) -> bool:
            return candidates == 1 and ledger.partitions.has_written(partition.load)

        counts, violations = write_candidates(ledger, batch, records, proof)
        if not counts.balances:
            raise AssertionError(f"partition {partition.id} doesn't add up")
        ledger.written_rows.store(partition.load, partition.id)
        ledger.partitions.record(partition, counts, time.monotonic() - started)
    return CommittedPartition(partition, counts, violations)
