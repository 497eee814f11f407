"""Replayed rows whose keys the job has used already: rejected, or inserted and never updated."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ErrorCode
from schemas.specification.policies import WriteMode
from schemas.violations import ORDINAL, Violation, violations_of
from transforms.commit.replayed_records import ReplayedRecords, digest_of
from transforms.compare.equal_keys import hashed_columns
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.batch import CandidateBatch
from transforms.model.run_context import RunContext


def reject_existing_keys(
    ledger: WorkerLedger, batch: CandidateBatch, records: ReplayedRecords
) -> CandidateBatch:
    """Reject rows that a placeholder stands in for, and rows whose source key has a target key.

    An upsert writes into a placeholder.

    Args:
        ledger: The run's.
        batch: Rejected rows of a partition.
        records: Those of the batch.

    Returns:
        The batch with these violations (DATA-004).

    Raises:
        psycopg.Error: The server can't be reached.
    """
    program = records.program
    violations = []
    if program.generated is not None or program.with_keys:
        keys = records.source_keys(batch.rows)
        existing = ledger.keys.read_kinds(program.name, keys)
        for is_placeholder, reason in ((True, "placeholder_stands"), (False, "existing_key")):
            taken = [key for key, kind in existing if kind is is_placeholder]
            violations.append(_existing(batch, keys, taken, reason))
    if program.write is not WriteMode.UPSERT:
        keys = records.target_keys(batch.rows)
        taken = ledger.placeholders.read_existing(program.table, keys)
        violations.append(_existing(batch, keys, taken, "placeholder_stands"))
    return batch.having(batch.rows, *violations)


def _existing(
    batch: CandidateBatch, keys: pa.Array, taken: Sequence[str], reason: str
) -> pa.RecordBatch:
    """The violations of the rows with one of the ``taken`` keys."""
    mask = pc.fill_null(pc.is_in(keys, value_set=pa.array(taken, pa.string())), False)
    violation = Violation(ErrorCode.DATA_004, "key.existing", None, reason)
    return violations_of(pc.unique(batch.rows.column(ORDINAL).filter(mask)), violation)


def insert_only_candidates(
    ledger: WorkerLedger, batch: CandidateBatch, records: ReplayedRecords
) -> pa.Array:
    """The candidates that may only be inserted, whatever the load does with existing keys.

    These are candidates with another key than they had when they were first read, those that had
    lost their key, and all of a load whose keys a later one writes as well: the existing row may
    be one of this job.

    Args:
        ledger: The run's.
        batch: Rejected rows of a partition.
        records: Those of the batch.

    Returns:
        Their ordinals (int32).

    Raises:
        psycopg.Error: The server can't be reached.
    """
    partition, program = batch.partition, records.program
    if _is_written_over(ledger.context, partition.load):
        return pc.unique(batch.rows.column(ORDINAL))
    keys = records.source_keys(batch.rows)
    distinct = pc.unique(keys)
    lost = ledger.duplicates.read_claims(partition, distinct)
    first = ledger.violations.read_first_target_keys(partition, distinct)
    targets = records.target_keys(batch.rows)
    digests = [digest_of(target) for target in pc.unique(targets.drop_null()).to_pylist()]
    holders = ledger.violations.read_holders(program, digests)
    rivals: set[str] = set()
    if hashed_columns(program):
        # Their texts don't show that the target takes two keys as one.
        rivals = ledger.duplicates.read_rivals_of_written(partition.load, distinct)
    only_new = {
        ordinal
        for ordinal, key, target in zip(
            batch.rows.column(ORDINAL).to_pylist(),
            keys.to_pylist(),
            targets.to_pylist(),
            strict=True,
        )
        if key in lost
        or key in rivals
        or target is None
        or first.get(key) != target
        or holders.get(digest_of(target), {key}) != {key}
    }
    return pa.array(sorted(only_new), pa.int32())


def _is_written_over(context: RunContext, load: str) -> bool:
    """Whether a later load writes into the load's table and its keys can be the same."""
    table = context.programs[load].table
    return any(
        load in needed and context.programs[later].table == table
        for later, needed in context.needs.items()
        if later in context.programs
    )
