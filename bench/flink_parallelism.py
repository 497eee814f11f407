"""Measures what a second slot of a Flink cluster brings where no database is in the way.

    python -m bench.flink_parallelism [--rows 20000000] [--runs 3]

Needs Java, and downloads Flink if need be. The rows of ``diagnoses.py`` lie in Parquet
files, and what the steps of a migration make of them goes into Parquet files; of the target only
the catalogue and the ledger are used. One slot and two take turns. The time is that of the engine's
job.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

import pipelines.run.graph
from bench.databases import two_databases
from bench.diagnoses import TARGET, translatable_codes
from bench.flink_cluster import flink_cluster, last_job_seconds
from pipelines import migrate, read_specification
from transforms.model.batch import CandidateBatch
from transforms.model.outputs import FailedPartition
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.steps.chained import chain_steps, create_elements, judging_steps
from transforms.steps.level import Level
from transforms.steps.read_partition import ReadPartitions

FILE = 1_000_000
"""Rows of a file."""


class WriteFile(beam.DoFn):
    """Writes what became of a partition into a file of its own."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def process(self, batch: CandidateBatch) -> None:
        name = zlib.crc32(batch.partition.place.encode())
        table = pa.Table.from_batches([batch.rows])
        pq.write_table(table, f"{self.folder}/{name:08x}.parquet")


def refuse(failed: FailedPartition) -> None:
    """A benchmark has no failed partitions."""
    raise RuntimeError(f"{failed.partition.place}: {failed.code.value} {failed.message}")


def write_source(folder: Path, rows: int) -> None:
    """The table of ``diagnoses.py`` as Parquet files."""
    codes = np.array([*translatable_codes(), "041.4"])
    for first in range(0, rows, FILE):
        i = np.arange(first + 1, min(first + FILE, rows) + 1)
        of_code = np.where(i % 50 == 0, len(codes) - 1, i * 7919 % (len(codes) - 1))
        days = np.datetime64("2008-01-01") + i % 2000
        moments = np.datetime64("2014-01-01T00:00:00", "us") + i % 90000 * np.timedelta64(1, "s")
        table: dict[str, npt.NDArray[Any]] = {
            "diag_id": i,
            "visit_id": i // 3,
            "seq": (i % 9 + 1).astype("int32"),
        }
        table |= {"diagnosis_code": codes[of_code], "diagnosed_on": days, "recorded_at": moments}
        path = folder / f"legacy_diagnoses_{first:09}.parquet"
        pq.write_table(pa.table(table), path, row_group_size=100_000)


def specification(folder: Path) -> Path:
    """That of ``diagnoses.py``, from files."""
    text = (Path(__file__).parent / "diagnoses.yaml").read_text()
    text = text.replace('{url: "${LEGACY_URL}"}', f"{{path: {folder}, format: parquet}}")
    text = text.replace("from: legacy_diagnoses", 'from: "legacy_diagnoses_*.parquet"')
    path = folder / "specification.yaml"
    path.write_text(text)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tfb-") as folder,
        two_databases() as databases,
        flink_cluster() as cluster,
    ):
        source, sink = Path(folder) / "source", Path(folder) / "sink"
        source.mkdir()
        write_source(source, options.rows)
        path = specification(source)

        def build(pipeline: Any, context: RunContext, levels: Sequence[Level]) -> None:
            (level,) = levels
            begun = create_elements(pipeline, "Partitions", level.partitions, Partition, [])
            batches, failures = chain_steps(
                begun, (ReadPartitions(context, comparing=True), *judging_steps(context, 0))
            )
            batches | beam.ParDo(WriteFile(str(sink)))
            failures | beam.Flatten() | beam.Map(refuse)

        pipelines.run.graph.build_graph = build
        taken: dict[int, list[float]] = {1: [], 2: []}
        for run in range(options.runs):
            for slots in taken:
                sink.mkdir()
                with psycopg.connect(databases.target, autocommit=True) as target:
                    target.execute("DROP SCHEMA IF EXISTS migration CASCADE")
                    target.execute("DROP TABLE IF EXISTS conditions")
                    target.execute(TARGET)
                asked = read_specification(path, databases.environment)
                outcome = migrate(asked, [*cluster.flags, f"--parallelism={slots}"])
                written = 0
                for file in sink.iterdir():
                    written += pq.read_metadata(file).num_rows
                    file.unlink()
                sink.rmdir()
                problems = "; ".join(map(str, outcome.problems))
                assert written == options.rows, f"{written} of {options.rows} rows: {problems}"
                taken[slots].append(last_job_seconds(cluster))
            print(
                f"run {run + 1}: one slot {taken[1][-1]:.1f} s, two {taken[2][-1]:.1f} s,"
                f" {taken[1][-1] / taken[2][-1]:.2f} times the rows/s",
                flush=True,
            )
    ratio = statistics.median(one / two for one, two in zip(taken[1], taken[2], strict=True))
    print(f"{options.rows:,} rows: median {ratio:.2f} times the rows/s with a second slot")


if __name__ == "__main__":
    main()
