"""Measures what it saves to build indexes and foreign keys after the load.

    python -m bench.after_load [--rows 2000000] [--runs 3]

Visits that refer to 200,000 patients go into an empty table with a foreign key and three
secondary indexes, by the same specification with ``indexes: keep`` and ``after_load``, taking
turns. Afterwards the table must be the same, its constraints and indexes too.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import psycopg

from bench.databases import Databases, two_databases

SOURCE = """
CREATE TABLE patients (id int PRIMARY KEY);
INSERT INTO patients SELECT generate_series(1, 200000);
CREATE TABLE visits (id int PRIMARY KEY, patient int, ward int, note text);
INSERT INTO visits SELECT i, (i::int8 * 7919) % 200000 + 1, i % 97, md5(i::text)
FROM generate_series(1, {rows}) i
"""

TARGET = (
    "DROP SCHEMA IF EXISTS migration CASCADE; DROP TABLE IF EXISTS visits, patients;"
    "CREATE TABLE patients (id int PRIMARY KEY);"
    "CREATE TABLE visits (id int PRIMARY KEY, patient int NOT NULL REFERENCES patients, ward int,"
    " note text);"
    "CREATE INDEX ON visits (patient); CREATE INDEX ON visits (ward); CREATE INDEX ON visits (note)"
)

STATE = """
SELECT (SELECT count(*) FROM visits), string_agg(definition, '; ' ORDER BY definition) FROM (
    SELECT indexdef FROM pg_indexes WHERE tablename = 'visits'
    UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'visits'::regclass AND convalidated) AS d(definition)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with two_databases() as databases:
        databases.run(databases.legacy, SOURCE.format(rows=options.rows), "VACUUM ANALYZE")
        ratios = []
        for run in range(options.runs):
            (kept, as_kept), (later, as_later) = (
                _migrated(databases, f"after_load_{how}.yaml") for how in ("off", "on")
            )
            if as_kept != as_later:
                sys.exit(f"not the same: {as_kept}, {as_later}")
            ratios.append(kept / later)
            print(
                f"run {run + 1}: keep {kept:.1f} s, after_load {later:.1f} s,"
                f" ratio {ratios[-1]:.2f}",
                flush=True,
            )
        print(f"{options.rows:,} rows: median ratio {statistics.median(ratios):.2f}")


def _migrated(databases: Databases, specification: str) -> tuple[float, tuple[object, ...] | None]:
    databases.run(databases.target, TARGET, "CHECKPOINT")
    seconds = databases.migrate(specification)
    with psycopg.connect(databases.target) as connection:
        return seconds, connection.execute(STATE).fetchone()


if __name__ == "__main__":
    main()
