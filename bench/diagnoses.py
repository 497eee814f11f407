"""Measures ``transfuse migrate`` against a raw pipe of the same rows, taking turns.

    python -m bench.diagnoses [--rows 4000000] [--runs 3]

The raw pipe is ``psql COPY TO | psql COPY FROM`` (binary) into a table of the source's
shape with its primary key: it checks nothing. Both use one PostgreSQL on this machine.
Wall time is that of the whole process; memory the largest sum of the resident sizes of
all processes of the command, looked at ten times a second.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import threading
import time

import psutil
import psycopg

from bench.databases import ROOT, migrate_command, two_databases

SOURCE = """
CREATE TABLE legacy_diagnoses (
    diag_id bigint PRIMARY KEY, visit_id bigint NOT NULL, seq integer NOT NULL,
    diagnosis_code text, diagnosed_on date, recorded_at timestamp)
"""
TARGET = """
CREATE TABLE conditions (
    condition_id bigint PRIMARY KEY, visit_id bigint NOT NULL, position integer NOT NULL,
    code text, gem_category text, onset date, recorded_at timestamp)
"""

FILL = """
INSERT INTO legacy_diagnoses
SELECT i, i / 3, i %% 9 + 1,
       CASE WHEN i %% 50 = 0 THEN '041.4' ELSE codes[1 + (i * 7919) %% array_length(codes, 1)] END,
       date '2008-01-01' + (i %% 2000)::int, timestamp '2014-01-01' + i %% 90000 * interval '1 s'
FROM generate_series(1, %s::bigint) AS i, (SELECT %s::text[] AS codes) AS c
"""
"""2% of the rows have a code that no map has."""


def translatable_codes() -> list[str]:
    """Dotted ICD-9-CM codes of the packaged map with one target each."""
    from schemas.code_maps.gem_file import packaged_gem

    codes = packaged_gem("icd9_to_icd10").codes
    single = codes.filter(
        (codes.column("category").to_numpy(zero_copy_only=False) == "exact")
        | (codes.column("category").to_numpy(zero_copy_only=False) == "approximate")
    )
    plain = [c for c in single.column("source_code").to_pylist() if c[0].isdigit()]
    return [f"{c[:3]}.{c[3:]}" if len(c) > 3 else c for c in plain]


def measured(command: list[str] | str, environment: dict[str, str]) -> tuple[float, float]:
    """Wall seconds and peak megabytes of a command with all its children."""
    peak = 0.0
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        shell=isinstance(command, str),
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.1):
            with contextlib.suppress(psutil.NoSuchProcess):
                root = psutil.Process(process.pid)
                family = [root, *root.children(recursive=True)]
                peak = max(peak, sum(p.memory_info().rss for p in family) / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    if status:
        sys.exit(f"the command failed with {status}: {command}")
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with two_databases() as databases:
        target, environment = databases.target, databases.environment
        with psycopg.connect(databases.legacy, autocommit=True) as connection:
            connection.execute(SOURCE)
            connection.execute(FILL, [options.rows, translatable_codes()])
            connection.execute("VACUUM ANALYZE legacy_diagnoses")
        psql = databases.programs / "psql"
        pipe = (
            f"{psql} '{databases.legacy}' -qc 'COPY legacy_diagnoses TO STDOUT (FORMAT binary)' |"
            f" {psql} '{target}' -qc 'COPY legacy_diagnoses FROM STDIN (FORMAT binary)'"
        )
        command = migrate_command("diagnoses.yaml")
        raw, ours, peaks = [], [], []
        for run in range(options.runs):
            _fresh(target)
            raw.append(measured(pipe, environment)[0])
            _fresh(target)
            seconds, peak = measured(command, environment)
            ours.append(seconds)
            peaks.append(peak)
            print(
                f"run {run + 1}: raw copy {raw[-1]:.1f} s, migrate {ours[-1]:.1f} s,"
                f" ratio {ours[-1] / raw[-1]:.2f}, peak {peaks[-1]:.0f} MB",
                flush=True,
            )
        ratio = statistics.median(a / b for a, b in zip(ours, raw, strict=True))
        rate = options.rows / statistics.median(ours)
        print(
            f"{options.rows:,} rows: median ratio {ratio:.2f}, {rate:,.0f} rows/s,"
            f" peak {max(peaks):.0f} MB"
        )


def _fresh(target: str) -> None:
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS migration CASCADE")
        connection.execute("DROP TABLE IF EXISTS conditions, legacy_diagnoses")
        connection.execute(SOURCE)
        connection.execute(TARGET)
        connection.execute("CHECKPOINT")


if __name__ == "__main__":
    main()
