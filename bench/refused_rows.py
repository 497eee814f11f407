"""Measures what rows that only the target refuses cost: a run with 10,000 of them in a million.

    python -m bench.refused_rows [--rows 1000000] [--runs 3] [--unprivileged]

Two kinds of target, each against a run of the same rows into a target that takes them all,
taking turns: one with two checks, and one with a trigger and a foreign key as well. Every
bad row must be rejected with its own cause. Unprivileged, the role that writes may neither
make temporary tables nor use PL/pgSQL.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace

import psycopg

from bench.databases import two_databases

SOURCE = """
CREATE TABLE stays (id bigint PRIMARY KEY, ward int, nights int, note text);
INSERT INTO stays SELECT i, 1 + i % 50, 1 + i % 9, 'stay ' || i
FROM generate_series(1, {rows}) i
"""

WARDS = (
    "CREATE TABLE wards (ward int PRIMARY KEY); INSERT INTO wards SELECT generate_series(0, 60);"
)

CHECKS = """
CREATE TABLE stays (id bigint PRIMARY KEY, ward int, nights int CHECK (nights <> 99 OR {clean}),
    note text CHECK (note <> 'bad' OR {clean}))
"""

EVERYTHING = """
CREATE TABLE stays (id bigint PRIMARY KEY, ward int REFERENCES wards,
    nights int CHECK (nights <> 99 OR {clean}), note text CHECK (note <> 'bad' OR {clean}));
CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.note = 'refused' AND NOT {clean} THEN
        RAISE 'refused' USING ERRCODE = 'check_violation', CONSTRAINT = 'by_trigger';
    END IF; RETURN new; END $$;
CREATE TRIGGER refuses BEFORE INSERT ON stays FOR EACH ROW EXECUTE FUNCTION refuses();
"""

KINDS = {"checks": (CHECKS, 2), "checks, a trigger and a foreign key": (EVERYTHING, 4)}

BAD = (
    "UPDATE stays SET nights = 99 WHERE id % {each} = 7 AND id / {each} % {kinds} = 0;"
    "UPDATE stays SET note = 'bad' WHERE id % {each} = 7 AND id / {each} % {kinds} = 1;"
    "UPDATE stays SET note = 'refused' WHERE id % {each} = 7 AND id / {each} % {kinds} = 2;"
    "UPDATE stays SET ward = 1000 WHERE id % {each} = 7 AND id / {each} % {kinds} = 3;"
)
"""One row in a hundred, with each cause as often."""

EACH = 100

UNPRIVILEGED = """
DROP ROLE IF EXISTS mover;
CREATE ROLE mover LOGIN;
REVOKE TEMPORARY ON DATABASE t FROM PUBLIC;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT CREATE ON DATABASE t TO mover;
ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT ON TABLES TO mover
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--unprivileged", action="store_true")
    options = parser.parse_args()
    with two_databases() as databases:
        target = databases.target
        if options.unprivileged:
            databases.run(target, UNPRIVILEGED)
            databases = replace(databases, writer="mover")
        for kind, (table, causes) in KINDS.items():
            databases.run(
                databases.legacy,
                "DROP TABLE IF EXISTS stays",
                SOURCE.format(rows=options.rows),
                BAD.format(each=EACH, kinds=causes),
                "VACUUM FULL ANALYZE stays",
            )
            ratios = []
            for run in range(options.runs):
                seconds = {}
                for clean in (True, False):
                    _fresh(target, table, clean)
                    seconds[clean] = databases.migrate("refused_rows.yaml")
                ratios.append(seconds[False] / seconds[True])
                print(
                    f"{kind}, run {run + 1}: clean {seconds[True]:.1f} s,"
                    f" with bad rows {seconds[False]:.1f} s, ratio {ratios[-1]:.2f}",
                    flush=True,
                )
                _check(target, options.rows, causes)
            print(f"{kind}: median ratio {statistics.median(ratios):.2f}", flush=True)


def _fresh(target: str, table: str, clean: bool) -> None:
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(
            "DROP SCHEMA IF EXISTS migration CASCADE; DROP TABLE IF EXISTS stays, wards;"
            "DROP FUNCTION IF EXISTS refuses"
        )
        connection.execute(WARDS)
        if clean:
            connection.execute("INSERT INTO wards VALUES (1000)")
        connection.execute(table.format(clean=str(clean).lower()))


def _check(target: str, rows: int, causes: int) -> None:
    """Exactly the bad rows are rejected, each cause as often as it was put in."""
    with psycopg.connect(target) as connection:
        rejected = connection.execute(
            "SELECT rule_id, count(*), count(DISTINCT source_key) FROM migration.migration_errors"
            " GROUP BY rule_id ORDER BY rule_id"
        ).fetchall()
        (written,) = connection.execute("SELECT count(*) FROM stays").fetchone() or (0,)
    bad = rows // EACH
    if written != rows - bad or [n for _, n, _ in rejected] != [bad // causes] * causes:
        sys.exit(f"{written} rows written, rejected: {rejected}")
    print(f"  {rejected}")


if __name__ == "__main__":
    main()
