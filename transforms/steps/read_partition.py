"""ReadPartition: from a planned partition to its candidates."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput

from transforms.ledger.worker_ledger import lend_ledger
from transforms.mapping.stages import prepare
from transforms.model.batch import CandidateBatch
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.steps.partition_step import StepTransform, declare_types
from transforms.steps.source_step import SourceStep
from transforms.steps.worker_events import log_read


@declare_types(Partition, CandidateBatch)
class ReadPartition(SourceStep[Partition, CandidateBatch]):
    """Reads a partition of the source as one batch, unless the run is to stop.

    Partition -> CandidateBatch with the columns ``src.NAME``, ``_ordinal``, ``_skip`` and
    ``_source_key``. A partition that may not start (stop wanted, a load that it needs is
    incomplete, error budget broken) stays planned in the ledger and gives nothing.
    """

    def __init__(self, context: RunContext, comparing: bool) -> None:
        super().__init__(context)
        self.comparing = comparing

    def step(self, element: Partition) -> Iterator[CandidateBatch | TaggedOutput]:
        program = self.context.programs[element.load]
        with lend_ledger(self.context) as ledger:
            starts = ledger.loads.may_start(element.load, self.comparing)
        if not starts:
            return
        if not self.comparing:
            log_read(self.context, element)
        source = self.rows_of(program, lambda reader: reader.read(program, element))
        rows, violations = prepare(source, program, element.id)
        read, empty = source.rows_read, source.empty
        yield CandidateBatch(element, rows, violations, read, empty, source.count, source.unread)


class ReadPartitions(StepTransform):
    """PCollection[Partition] -> CandidateBatch.

    ``comparing``: for the pass before the load, which needs no such pass itself.
    """

    def __init__(self, context: RunContext, comparing: bool = False) -> None:
        super().__init__(context)
        self.comparing = comparing

    def new_step(self) -> ReadPartition:
        return ReadPartition(self.context, self.comparing)
