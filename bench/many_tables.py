"""Measures how long Flink takes to get a specification of 300 tables, and how large its graph is.

    python -m bench.many_tables [--tables 30 300] [--levels 5]

Needs Java, and downloads Flink if need be. The tables of a level refer to those of the level above.
The graph is made once the tables are planned, and submitted once the first partition is read.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

import pipelines.engines.engine
from bench.databases import Databases, two_databases
from bench.flink_cluster import flink_cluster
from pipelines import migrate, read_specification
from schemas.errors import ExitStatus

HEADER = """
job: bench-many-tables
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
maps:
  icd9_to_icd10: {policy: {choice: reject, no_map: reject}}
tables:
"""

COLUMNS = "id int PRIMARY KEY, parent int{}, code text, note text"

TABLE = """
  {name}:
    from: {name}
    key: [id]
    copy: [id, note]
    fields:
      parent: {{from: parent{reference}}}
      code: {{from: code, map: icd9_to_icd10}}
"""


def fill(databases: Databases, tables: int, levels: int) -> str:
    """Make both sides, with ten rows a table; gives the specification."""
    text, legacy, target = HEADER, [], []
    for number in range(tables):
        parent = f"t{number - 1}" if number % levels else ""
        name, reference = f"t{number}", f" REFERENCES {parent}" if parent else ""
        legacy.append(
            f"CREATE TABLE {name} ({COLUMNS.format('')}); INSERT INTO {name}"
            " SELECT i, i, '599.0', 'n' || i FROM generate_series(1, 10) i"
        )
        target.append(f"CREATE TABLE {name} ({COLUMNS.format(reference)})")
        text += TABLE.format(name=name, reference=f", ref: {parent}" if parent else "")
    for url, statements in ((databases.legacy, legacy), (databases.target, target)):
        drop = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS migration"
        databases.run(url, f"{drop} CASCADE", *statements)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, nargs="+", default=[30, 300])
    parser.add_argument("--levels", type=int, default=5)
    options = parser.parse_args()
    made: dict[str, Any] = {}
    run_to_the_end = pipelines.engines.engine.run_to_the_end

    def measured(pipeline: Any) -> Any:
        graph = pipeline.to_runner_api()
        made.update(at=time.time(), steps=len(graph.components.transforms), size=graph.ByteSize())
        return run_to_the_end(pipeline)

    pipelines.engines.engine.run_to_the_end = measured
    with (
        tempfile.TemporaryDirectory(prefix="tfb-") as folder,
        two_databases() as databases,
        flink_cluster() as cluster,
    ):
        for tables in options.tables:
            path = Path(folder) / "many.yaml"
            path.write_text(fill(databases, tables, options.levels))
            begun = time.time()
            asked = read_specification(path, databases.environment)
            outcome = migrate(asked, cluster.flags)
            assert outcome.status is ExitStatus.COMPLETE, outcome.problems
            seconds = time.time() - begun
            with psycopg.connect(databases.target) as connection:
                row = connection.execute(
                    "SELECT extract(epoch FROM min(started_at)) FROM migration.migration_partitions"
                ).fetchone()
            assert row is not None
            print(
                f"{tables} tables in {options.levels} levels: graph after"
                f" {made['at'] - begun:.1f} s ({made['steps']} steps, {made['size']:,} bytes),"
                f" first partition after {float(row[0]) - begun:.1f} s, complete after"
                f" {seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
