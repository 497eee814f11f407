"""Measures ``transfuse migrate`` of many rows on a Flink cluster with 1 GB for each TaskManager.

    python -m bench.flink_backfill [--rows 2000000 20000000]

Needs Java, and downloads Flink if need be. For each number of rows: rows a second of the whole
command and of the engine's job, and the peak of the resident size of a TaskManager and of a Python
worker. PostgreSQL, both TaskManagers and their workers share this machine.
"""

from __future__ import annotations

import argparse
import json
import time

import psycopg

from bench.databases import migrate_command, two_databases
from bench.diagnoses import FILL, SOURCE, TARGET, translatable_codes
from bench.flink_cluster import flink_cluster, last_job_seconds, run_on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 20_000_000])
    options = parser.parse_args()
    with two_databases() as databases, flink_cluster() as cluster:
        for rows in options.rows:
            for url, *statements in (
                (databases.legacy, "DROP TABLE IF EXISTS legacy_diagnoses", SOURCE),
                (databases.target, "DROP SCHEMA IF EXISTS migration CASCADE"),
                (databases.target, "DROP TABLE IF EXISTS conditions", TARGET),
            ):
                databases.run(url, *statements)
            with psycopg.connect(databases.legacy, autocommit=True) as connection:
                connection.execute(FILL, [rows, translatable_codes()])
                connection.execute("VACUUM ANALYZE legacy_diagnoses")
                connection.execute("CHECKPOINT")
            begun = time.perf_counter()
            command = [*migrate_command("diagnoses.yaml"), *cluster.flags]
            printed, peaks = run_on(command, databases.environment)
            seconds, in_engine = time.perf_counter() - begun, last_job_seconds(cluster)
            load = json.loads(printed)["tables"]["conditions"]
            assert load["accepted"] + load["rejected"] == rows, load
            print(
                f"{rows:,} rows: {seconds:.0f} s, {rows / seconds:,.0f} rows/s;"
                f" in the engine {in_engine:.0f} s, {rows / in_engine:,.0f} rows/s;"
                f" at most {peaks}",
                flush=True,
            )


if __name__ == "__main__":
    main()
