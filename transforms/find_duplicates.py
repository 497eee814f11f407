"""FindDuplicates: which candidates share a key, decided before the load starts, and stored.

The pass reads the columns that keys, order and skips need, groups the keys by hash, and
stores the losers. A resumed run finds them stored and decides nothing again.

Keys are grouped as compressed streams, which wait on disk where Beam would hold them in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_output_types
from psycopg import sql

from transforms.batch import CandidateBatch, packed, unpacked
from transforms.chained import judging_steps, through
from transforms.connection_pool import target_pool
from transforms.duplicates import (
    competing_keys,
    having_hash,
    keys_program,
    losers_of,
    repeated_hashes,
)
from transforms.outputs import FailedPartition
from transforms.partition_step import PartitionStep, succeeds
from transforms.read_partition import ReadPartitions
from transforms.run_context import RunContext
from transforms.spill import put_aside, taken_up

BUCKET_KEYS = 1_000_000
"""Keys in a bucket, about: 100 bytes each keep a bucket well under what a worker has."""

Bucket = tuple[str, int]
"""A load and the number of a bucket of its keys."""


@with_output_types(
    tuple[Bucket, bytes],
    connection=FailedPartition,
    system=FailedPartition,
    user=FailedPartition,
    processed=tuple[str, int],
)
class _SpreadKeys(PartitionStep[CandidateBatch, Any]):
    def __init__(self, context: RunContext, buckets: Mapping[str, int]) -> None:
        super().__init__(context)
        self.buckets = buckets

    def step(self, element: CandidateBatch) -> Iterator[Any]:
        load = element.partition.load
        keys = competing_keys(element.rows, self.context.programs[load], element.partition.id)
        count = self.buckets[load]
        places = pa.array(keys.column("hash").to_numpy() % count)
        for bucket in pc.unique(places).to_pylist():
            part = keys.filter(pc.equal(places, bucket))
            stream = packed(part, compression="zstd")
            yield (load, bucket), put_aside(self.context, stream)
        yield TaggedOutput("processed", (load, 1))


@with_output_types(tuple[str, int])
class _StoreLosers(beam.DoFn):
    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def process(self, element: tuple[Bucket, Iterable[bytes]]) -> Iterator[tuple[str, int]]:
        (load, _), places = element
        places = list(places)

        def batches() -> Iterator[pa.RecordBatch]:
            return (unpacked(taken_up(self.context, place)) for place in places)

        repeated = repeated_hashes(batches())
        keys = pa.concat_batches([having_hash(batch, repeated) for batch in batches()])
        losers = losers_of(keys, self.context.programs[load].duplicates.keep)
        stored = not len(losers) or succeeds(
            self.context,
            load,
            "the losers among its duplicates couldn't be stored",
            lambda: self._store(load, losers),
        )
        # One less than the partitions: the load isn't marked, and doesn't start.
        yield load, 0 if stored else -1

    def _store(self, load: str, losers: pa.RecordBatch) -> None:
        """Stores losers once, also when the same bucket is processed again."""
        statement = sql.SQL(
            "INSERT INTO {} (job_id, load, partition_id, ordinal, source_key, claim,"
            " winner_key) SELECT %s, %s, u.* FROM"
            " unnest(%s::text[], %s::int4[], %s::text[], %s::text[], %s::text[])"
            " AS u ON CONFLICT DO NOTHING"
        ).format(self.context.table("migration_duplicates"))
        values = [self.context.job, load, *(column.to_pylist() for column in losers.columns)]
        with target_pool(self.context).lent() as target:
            target.execute(statement, values)


@with_output_types(str)
class _MarkFound(beam.DoFn):
    def __init__(self, context: RunContext, partitions: Mapping[str, int]) -> None:
        super().__init__()
        self.context = context
        self.partitions = partitions

    def process(self, element: tuple[str, int]) -> Iterator[str]:
        load, processed = element
        if processed == self.partitions[load]:
            told = "that its duplicates are found couldn't be recorded"
            succeeds(self.context, load, told, lambda: self._mark(load))
        yield load

    def _mark(self, load: str) -> None:
        statement = sql.SQL(
            "UPDATE {} SET duplicates_found = true WHERE job_id = %s AND load = %s"
        ).format(self.context.table("migration_loads"))
        with target_pool(self.context).lent() as target:
            target.execute(statement, [self.context.job, load])


class FindDuplicates(beam.PTransform):
    """PCollection[Partition] -> the loads (str) whose losers are all stored.

    Takes all partitions of the loads that need the pass, ``partitions`` counts them by
    load and ``rows`` their rows. A load of which a partition couldn't be read is not
    marked, and doesn't start.
    """

    def __init__(
        self,
        context: RunContext,
        level: int,
        partitions: Mapping[str, int],
        rows: Mapping[str, int],
    ) -> None:
        super().__init__()
        programs = {n: keys_program(p) for n, p in context.programs.items()}
        self.context = replace(context, programs={**context.programs, **programs})
        self.level = level
        self.partitions = partitions
        self.buckets = {load: -(-max(1, count) // BUCKET_KEYS) for load, count in rows.items()}

    def expand(self, partitions: Any) -> Any:
        context = self.context
        steps = (ReadPartitions(context, True), *judging_steps(context, self.level))
        batches, failures = through(partitions, steps)
        spread = batches | beam.ParDo(_SpreadKeys(context, self.buckets)).with_outputs(
            "processed", "connection", "system", "user", main="keys"
        )
        stored = (
            spread.keys | beam.GroupByKey() | "StoreLosers" >> beam.ParDo(_StoreLosers(context))
        )
        marked = (
            (spread.processed, stored)
            | beam.Flatten()
            | beam.CombinePerKey(sum)
            | "MarkFound" >> beam.ParDo(_MarkFound(context, self.partitions))
        )
        failures += [spread.connection, spread.system, spread.user]
        return marked, failures
