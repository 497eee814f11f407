"""RejectDuplicates: the candidates that lost their key, as the pass before the load found."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.violations import ORDINAL, Finding, no_violations, violations_of
from transforms.batch import CandidateBatch
from transforms.connections import cached_connection
from transforms.ledger import stored_losers
from transforms.mapping.engine import with_column
from transforms.mapping.program import SKIP, LoadProgram
from transforms.mapping.stages import source_keys
from transforms.outputs import FailedPartition
from transforms.partition_step import PartitionStep, StepTransform

DUPLICATE_RULE = "key.duplicate"


def reject_losers(
    rows: pa.RecordBatch,
    program: LoadProgram,
    losers: dict[int, str | None],
    partition_id: str,
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Marks losers (ordinal -> source key): DATA-004, or skipped where the load says so.

    Raises TransfuseError (SYS-005) where a loser isn't the row that it was when it was
    found: then the source doesn't give its rows in the same order twice.
    """
    ordinals = rows.column(ORDINAL)
    lost = pc.is_in(ordinals, value_set=pa.array(sorted(losers), pa.int32()))
    found = rows.filter(lost)
    keys = source_keys(found, program, partition_id).to_pylist()
    now = zip(found.column(ORDINAL).to_pylist(), keys, strict=True)
    if any(losers[ordinal] != key for ordinal, key in now):
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_005,
                "the source gives its rows in another order than when duplicates were found",
                program.source_name,
                "name a unique 'source_key' and 'partition'",
            )
        )
    if program.duplicates.losers == "skip":
        verdict = rows.column(SKIP)
        skipped = pc.and_(lost, pc.is_null(verdict))
        return with_column(rows, SKIP, pc.if_else(skipped, "duplicates", verdict)), no_violations()
    only = program.key[0] if len(program.key) == 1 else None
    finding = Finding(ErrorCode.DATA_004, DUPLICATE_RULE, only, "duplicate")
    return rows, violations_of(ordinals.filter(lost), finding)


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class _RejectDuplicates(PartitionStep[CandidateBatch, CandidateBatch]):
    """Asks which rows of the partition lost."""

    talks = True

    def step(self, element: CandidateBatch) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.partition.load]
        if not program.finds_duplicates:
            yield element
            return
        connection = cached_connection(self.context.target)
        losers = stored_losers(connection, self.context, element.partition)
        if not losers:
            yield element
            return
        yield element.having(*reject_losers(element.rows, program, losers, element.partition.id))


class RejectDuplicates(StepTransform):
    """CandidateBatch -> CandidateBatch with the losers of duplicate keys marked."""

    dofn = _RejectDuplicates
