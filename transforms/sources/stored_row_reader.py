"""Reading the candidates of a source whose rows may be spread over several each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.source_address import SourceReader
from transforms.model.source_rows import SourceRows
from transforms.sources.asked_rows import asked_rows
from transforms.sources.spread_rows import position_of, spread_rows


class StoredRowReader(SourceReader):
    """A reader that gets rows as the source stores them, and spreads them into candidates."""

    def read(
        self, program: LoadProgram, partition: Partition, columns: Sequence[str] | None = None
    ) -> SourceRows:
        wanted = program.columns if columns is None else columns
        rows = self.read_stored(program, partition, program.source_columns(wanted))
        return rows if program.spread is None else spread_rows(rows, program, wanted)

    def row(
        self,
        program: LoadProgram,
        source_key: str,
        columns: Sequence[str],
        partition: Partition | None = None,
    ) -> SourceRows | None:
        if program.spread is None:
            return self.stored_row(program, source_key, columns, partition)
        row_key, position = position_of(program, source_key)
        of_rows = program.of_rows
        if row_key is None:
            # Of rows without a key there may be several.
            return None
        source_rows = self.stored_row(of_rows, row_key, program.source_columns(columns), partition)
        if source_rows is None or position is None:
            return source_rows
        candidates = spread_rows(source_rows, program, columns)
        numbers = candidates.batch.column(f"src.{program.spread.position}")
        place = pc.index(numbers, pa.scalar(position, pa.int32())).as_py()
        return None if place < 0 else candidates.only(place)

    def rows_with(
        self, program: LoadProgram, source_keys: Sequence[str], partition: Partition
    ) -> SourceRows:
        if program.spread is None:
            rows = self.stored_rows(program, source_keys, program.columns, partition)
            return asked_rows(rows, program, source_keys)
        row_keys = list(dict.fromkeys(position_of(program, key)[0] for key in source_keys))
        columns = program.stored_columns
        rows = self.stored_rows(program.of_rows, row_keys, columns, partition)
        return asked_rows(spread_rows(rows, program, program.columns), program, source_keys)

    @abstractmethod
    def stored_rows(
        self,
        program: LoadProgram,
        source_keys: Sequence[str | None],
        columns: Sequence[str],
        partition: Partition,
    ) -> SourceRows:
        """The rows with these source keys of a program that spreads none; there may be others
        among them."""

    @abstractmethod
    def read_stored(
        self, program: LoadProgram, partition: Partition, columns: Sequence[str]
    ) -> SourceRows:
        """The rows of a partition as the source has them; ``columns`` are its own."""

    @abstractmethod
    def stored_row(
        self,
        program: LoadProgram,
        source_key: str,
        columns: Sequence[str],
        partition: Partition | None,
    ) -> SourceRows | None:
        """``row`` of a program that spreads none."""
