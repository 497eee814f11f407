"""CompareRows: decides what depends on several rows of a load, before the load starts.

That is which candidates share a key, and on which of them rules over several rows fail. The pass
reads the columns that these need, groups them by hash, and stores the result. A resumed run uses
the stored result and decides nothing again.

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

from transforms.compare.duplicates import competing_keys, keys_program, losers_of, together
from transforms.compare.equal_keys import add_key_hashes, hashed_columns
from transforms.compare.group_violations import failing_rows, grouped_rows
from transforms.ledger.earlier_findings import refuse_other_findings
from transforms.ledger.worker_ledger import lend_ledger
from transforms.model.batch import CandidateBatch, decode_batch, encode_batch
from transforms.model.program import LoadProgram
from transforms.model.run_context import RunContext
from transforms.postgres.connection_pool import target_pool
from transforms.resources.spill import load_stream, store_stream
from transforms.steps.chained import chain_steps, judging_steps
from transforms.steps.partition_step import PartitionStep, attempt, declare_types
from transforms.steps.read_partition import ReadPartitions

BUCKET_KEYS = 1_000_000
"""Keys in a bucket, about: 100 bytes each keep a bucket well under what a worker has."""

Bucket = tuple[str, str, int]
"""A load, the rule that compares its rows (none: their keys), and the number of a bucket."""

Account = tuple[int, int]
"""Partitions of a load that were read, and streams of their keys: those that were sent out, less
those that were compared.

An engine may compute the outputs of a step apart from each other, so that a partition is counted
whose keys have failed. All of them were compared if and only if nothing is left over.
"""


@declare_types(CandidateBatch, tuple[Bucket, bytes], processed=tuple[str, Account])
class _SpreadKeys(PartitionStep[CandidateBatch, Any]):
    """Spreads the keys of a batch over buckets, by hash."""

    talks = True

    def __init__(self, context: RunContext, buckets: Mapping[str, int]) -> None:
        super().__init__(context)
        self.buckets = buckets

    def step(self, element: CandidateBatch) -> Iterator[Any]:
        load, identifier = element.partition.load, element.partition.id
        program = self.context.programs[load]
        compared = [
            (rule.name, grouped_rows(element.rows, program, rule, identifier))
            for rule in program.group_rules
        ]
        if program.finds_duplicates:
            rows = self._with_hashes(element.rows, program)
            compared.append(("", competing_keys(rows, program, identifier)))
        streams = 0
        for rule, keys in compared:
            places = pa.array(keys.column("hash").to_numpy() % self.buckets[load])
            for bucket in pc.unique(places).to_pylist():
                part = keys.filter(pc.equal(places, bucket))
                stream = encode_batch(part, compression="zstd")
                streams += 1
                yield (load, rule, bucket), store_stream(self.context, stream)
        yield TaggedOutput("processed", (load, (1, streams)))

    def _with_hashes(self, rows: pa.RecordBatch, program: LoadProgram) -> pa.RecordBatch:
        if not hashed_columns(program):
            return rows
        with target_pool(self.context).lent() as target:
            return add_key_hashes(rows, program, target)


@with_output_types(tuple[str, Account])
class _StoreFindings(beam.DoFn):
    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def process(self, element: tuple[Bucket, Iterable[bytes]]) -> Iterator[tuple[str, Account]]:
        (load, name, _), places = element
        sought = f"the rows on which {name} fails" if name else "the losers among its duplicates"
        failure = f"{sought} couldn't be found or stored"
        streams = list(places)
        done = attempt(self.context, load, failure, lambda: self._compare(load, name, streams))
        # Streams that stay on the account: the load isn't marked, and doesn't start.
        yield load, (0, -len(streams) if done else 0)

    def _compare(self, load: str, name: str, streams: list[bytes]) -> None:
        def batches() -> Iterator[pa.RecordBatch]:
            return (decode_batch(load_stream(self.context, stream)) for stream in streams)

        program = self.context.programs[load]
        if not name:
            losers = losers_of(together(batches), program.duplicates.keep)
            if len(losers):
                with lend_ledger(self.context) as ledger:
                    ledger.duplicates.add(load, losers)
            return
        rule = next(rule for rule in program.group_rules if rule.name == name)
        keys = together(batches) if not rule.alone else pa.concat_batches(list(batches()))
        failing = failing_rows(keys, rule)
        if len(failing):
            with lend_ledger(self.context) as ledger:
                ledger.groups.add(load, name, failing)


def _balance(accounts: Iterable[Account]) -> Account:
    read = left = 0
    for partitions, streams in accounts:
        read += partitions
        left += streams
    return read, left


@with_output_types(str)
class _MarkCompared(beam.DoFn):
    def __init__(self, context: RunContext, partitions: Mapping[str, int]) -> None:
        super().__init__()
        self.context = context
        self.partitions = partitions

    def process(self, element: tuple[str, Account]) -> Iterator[str]:
        load, account = element
        if account == (self.partitions[load], 0):
            failure = "that its rows are compared couldn't be recorded"
            attempt(self.context, load, failure, lambda: self._mark(load))
        yield load

    def _mark(self, load: str) -> None:
        with lend_ledger(self.context) as ledger:
            refuse_other_findings(ledger.session, load)
            ledger.loads.mark_compared(load)


class CompareRows(beam.PTransform):
    """PCollection[Partition] -> the loads (str) of which all findings are stored.

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
        batches, failures = chain_steps(partitions, steps)
        spread = batches | beam.ParDo(_SpreadKeys(context, self.buckets)).with_outputs(
            "processed", "connection", "system", "user", main="keys"
        )
        stored = (
            spread.keys | beam.GroupByKey() | "StoreFindings" >> beam.ParDo(_StoreFindings(context))
        )
        marked = (
            (spread.processed, stored)
            | beam.Flatten()
            | beam.CombinePerKey(_balance)
            | "MarkCompared" >> beam.ParDo(_MarkCompared(context, self.partitions))
        )
        failures += [spread.connection, spread.system, spread.user]
        return marked, failures
