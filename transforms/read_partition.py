"""ReadPartition: from a planned partition to its candidates."""

from __future__ import annotations

from collections.abc import Iterator

import adbc_driver_manager
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types

from transforms.batch import CandidateBatch
from transforms.commit.ledger import may_start
from transforms.connection_pool import target_pool
from transforms.mapping.python_functions import use_python_path
from transforms.mapping.stages import prepare
from transforms.outputs import FailedPartition
from transforms.partition_step import PartitionStep, StepTransform
from transforms.partitions.partition import Partition
from transforms.run_context import RunContext
from transforms.sources.source import SourceReader


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
        self.readers: dict[str, SourceReader] = {}

    def step(self, element: Partition) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.load]
        with target_pool(self.context).lent() as target:
            starts = may_start(target, self.context, element.load, self.finding_duplicates)
        if not starts:
            return
        use_python_path(program.python_path)
        try:
            source = self._reader(program.source).read(program, element)
        except adbc_driver_manager.Error:
            # Its transaction is aborted, or the connection is gone.
            self.finish_bundle()
            raise
        rows, violations = prepare(source, program, element.id)
        read, empty = source.rows_read, source.empty
        yield CandidateBatch(element, rows, violations, read, empty, source.count, source.unread)

    def _reader(self, source: str) -> SourceReader:
        """This bundle's access to a source, as it was when the run began."""
        if source not in self.readers:
            self.readers[source] = self.context.sources[source].open()
        return self.readers[source]

    def finish_bundle(self) -> None:
        """Closes the readers: a snapshot that is kept open holds back vacuum and locks."""
        while self.readers:
            self.readers.popitem()[1].close()


class ReadPartitions(StepTransform):
    """PCollection[Partition] -> CandidateBatch.

    ``finding_duplicates``: for the pass before the load, which needs no such pass itself.
    """

    def __init__(self, context: RunContext, finding_duplicates: bool = False) -> None:
        super().__init__(context)
        self.finding_duplicates = finding_duplicates

    def new_step(self) -> ReadPartition:
        return ReadPartition(self.context, self.finding_duplicates)
