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
from transforms.ledger.written_rows import store_written_rows
from transforms.model.batch import CandidateBatch
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.target_rows.target_errors import TargetError


@dataclass(frozen=True)
class CommittedPartition:
    """A partition that is in the ledger; ``violations`` are those committed with it.

    ``again`` where it had been committed before, and nothing was written now.
    """

    partition: Partition
    counts: Counts
    violations: pa.RecordBatch = field(repr=False)
    again: bool = False


def commit_partition(
    connection: psycopg.Connection[Any], context: RunContext, batch: CandidateBatch
) -> CommittedPartition:
    """Writes what is accepted of a batch, records what isn't, and closes its ledger row.

    One transaction; of two that commit the same partition one does it, the other finds it
    done. Raises psycopg.Error where the server can't be talked to or refuses for a reason
    that isn't in the rows; then nothing is written.
    """
    started = time.time()
    partition = batch.partition
    ledger = WorkerLedger(connection, context)
    snapshot = context.sources[context.programs[partition.load].source].snapshot
    with connection.transaction():
        if not ledger.partitions.claim(partition, snapshot):
            return CommittedPartition(partition, Counts(), batch.violations.slice(0, 0), True)
        records = RowRecords(connection, context, batch)

        def proof(_: TargetError, candidates: int) -> bool:
            return candidates == 1 and ledger.partitions.has_written(partition.load)

        counts, violations = write_candidates(connection, context, batch, records, proof)
        if not counts.balances:
            raise AssertionError(f"partition {partition.id} doesn't add up")
        store_written_rows(connection, context, partition.load, partition.id)
        ledger.partitions.record(partition, counts, started)
    return CommittedPartition(partition, counts, violations)
