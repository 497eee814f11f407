"""ReadPartition: from a planned partition to its candidates."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from transforms.batch import CandidateBatch
from transforms.connections import cached_connection
from transforms.ledger import may_start
from transforms.mapping.python_functions import use_python_path
from transforms.mapping.stages import prepare
from transforms.outputs import FailedPartition
from transforms.partition import Partition
from transforms.partition_reader import open_source, read_partition
from transforms.partition_step import PartitionStep, StepTransform
from transforms.run_context import RunContext

_local = threading.local()


@with_output_types(
    CandidateBatch, connection=FailedPartition, system=FailedPartition, user=FailedPartition
)
class ReadPartition(PartitionStep[Partition, CandidateBatch]):
    """Reads a partition of the source as one batch, unless the run is to stop.

    Partition -> CandidateBatch with the columns ``src.NAME``, ``_ordinal``, ``_skip`` and
    ``_source_key``. A partition that may not start (stop wanted, a load that it needs is
    incomplete, error budget broken) stays planned in the ledger and gives nothing.
    """

    talks = True

    def __init__(self, context: RunContext, finding_duplicates: bool) -> None:
        super().__init__(context)
        self.finding_duplicates = finding_duplicates

    def step(self, element: Partition) -> Iterator[CandidateBatch | TaggedOutput]:
        target = cached_connection(self.context.target)
        program = self.context.programs[element.load]
        if not may_start(target, self.context, element.load, self.finding_duplicates):
            return
        use_python_path(program.python_path)
        connection = _source(self.context, program.source)
        try:
            source = read_partition(
                connection,
                program.relations[element.relation],
                program.columns,
                element,
                program.with_ctid,
            )
        except adbc_driver_manager.Error:
            _forget(self.context, program.source)
            raise
        rows, violations = prepare(source.batch, source.unrepresentable, program, element.id)
        yield CandidateBatch(element, rows, violations, len(rows), 0, len(rows))


class ReadPartitions(StepTransform):
    """PCollection[Partition] -> CandidateBatch.

    ``finding_duplicates``: for the pass before the load, which needs no such pass itself.
    """

    def __init__(self, context: RunContext, finding_duplicates: bool = False) -> None:
        super().__init__(context)
        self.finding_duplicates = finding_duplicates

    def new_step(self) -> ReadPartition:
        return ReadPartition(self.context, self.finding_duplicates)


def _source(context: RunContext, name: str) -> adbc_driver_postgresql.dbapi.Connection:
    """This thread's connection to a source, inside the run's snapshot of it."""
    key = (context.sources[name], context.snapshots.get(name))
    known: dict[Any, Any] = _local.__dict__.setdefault("sources", {})
    if key not in known:
        for old in [k for k in known if k[0] == key[0]]:
            known.pop(old).close()
        known[key] = open_source(*key)
    return known[key]


def _forget(context: RunContext, name: str) -> None:
    key = (context.sources[name], context.snapshots.get(name))
    known: dict[Any, Any] = _local.__dict__.setdefault("sources", {})
    broken = known.pop(key, None)
    if broken is not None:
        broken.close()
