"""The frame of the steps that read a source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adbc_driver_manager

from transforms.model.program import LoadProgram
from transforms.model.run_context import RunContext
from transforms.model.source_address import SourceReader
from transforms.model.source_rows import SourceRows
from transforms.steps.partition_step import Element, PartitionStep, Result


class SourceStep(PartitionStep[Element, Result]):
    """A step that keeps the readers of a bundle, which read the snapshots of the run."""

    talks = True

    def __init__(self, context: RunContext) -> None:
        super().__init__(context)
        self.readers: dict[str, SourceReader] = {}

    def rows_of(
        self, program: LoadProgram, read: Callable[[SourceReader], SourceRows]
    ) -> SourceRows:
        """The rows that ``read`` reads from the load's source."""
        if program.source not in self.readers:
            address = self.context.sources[program.source]
            self.readers[program.source] = address.open(self.context.reader_name)
        try:
            return read(self.readers[program.source])
        except adbc_driver_manager.Error:
            # Its transaction is aborted, or its connection is closed.
            self.finish_bundle()
            raise

    def finish_bundle(self) -> Any:
        """Close the readers: a snapshot that is kept open holds back vacuum and locks."""
        while self.readers:
            self.readers.popitem()[1].close()
