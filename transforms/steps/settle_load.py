"""SettleLoads: decides what depends on all partitions of a load, once they are committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.typehints import with_output_types

from transforms.commit.load_settlement import settle_load
from transforms.model.run_context import RunContext
from transforms.postgres.connection_pool import target_pool
from transforms.steps.partition_step import attempt
from transforms.steps.worker_events import log_settled


@with_output_types(str)
class _SettleLoad(beam.DoFn):
    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def process(self, element: str) -> Iterator[str]:
        settled = False

        def settle() -> None:
            nonlocal settled
            with target_pool(self.context).lent() as target:
                settled = settle_load(target, self.context, element)

        # If a load stays unsettled the run ends as incomplete, and the next one settles it.
        attempt(self.context, element, "it couldn't be settled", settle)
        if settled:
            log_settled(self.context, element)
            yield element


class SettleLoads(beam.PTransform):
    """PCollection[str] of loads -> those that are settled.

    A load with a partition that isn't committed stays open; what needs it doesn't start.
    """

    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def expand(self, loads: Any) -> Any:
        return loads | beam.ParDo(_SettleLoad(self.context))
