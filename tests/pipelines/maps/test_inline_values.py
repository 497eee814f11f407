"""Maps with very many values in the specification itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.databases.two_databases import TwoDatabases

LOAD = """
tables:
  results:
    from: results
    key: [id]
    copy: [id]
    fields:
      kept: {from: code, map: kept}
      strict: {from: code, map: strict, type: int}
      other: {from: code, transform: upper, map: other}
      none: {from: code, map: none}
"""


def maps(count: int) -> str:
    """Four maps of the same values, in which k5 stands for nothing."""
    pairs = "".join(f"      k{n}: {'null' if n == 5 else n}\n" for n in range(count))
    small = pairs.replace("      k", "      K")
    return (
        f"maps:\n  kept:\n    on_unmapped: keep\n    values:\n{pairs}"
        f"  strict:\n    values:\n{pairs}"
        f"  other:\n    on_unmapped: {{default: '-'}}\n    values:\n{small}"
        f"  none:\n    on_unmapped: set_null\n    values:\n{pairs}"
    )


def prepare(databases: TwoDatabases, last: int) -> None:
    databases.legacy.run(
        "CREATE TABLE results (id int PRIMARY KEY, code text);"
        f"INSERT INTO results VALUES (1, 'k1'), (2, 'k5'), (3, NULL), (4, 'x'), (5, 'k{last}')"
    )
    databases.target.run(
        "CREATE TABLE results (id int PRIMARY KEY, kept text, strict int, other text, none text)"
    )


@pytest.mark.slow
def test_many_values_mean_what_a_few_mean(databases: TwoDatabases) -> None:
    count = 1000
    prepare(databases, count - 1)
    databases.migrate(maps(count) + LOAD)
    assert databases.target.rows("TABLE results ORDER BY id") == [
        (1, "1", 1, "1", "1"),
        (2, None, None, None, None),
        (3, None, None, None, None),
        (5, str(count - 1), count - 1, str(count - 1), str(count - 1)),
    ]
    assert databases.errors() == [("results", "4", "TRANS-002", "strict.map", "unknown_value")]


@pytest.mark.slow
def test_a_run_with_300000_values_can_be_stopped_at_any_time(databases: TwoDatabases) -> None:
    prepare(databases, 299_999)
    pairs = "".join(f"      k{n}: V{n}\n" for n in range(300_000))
    fields = "{kept: {from: code, map: m}}"
    load = f"tables: {{results: {{from: results, key: [id], copy: [id], fields: {fields}}}}}"
    path = databases.write(f"maps:\n  m:\n    on_unmapped: keep\n    values:\n{pairs}{load}\n")
    command = [sys.executable, "-m", "pipelines", "migrate", str(path)]
    environment = {**os.environ, **databases.variables}
    for wait in (15,):
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as run:
            try:
                run.wait(wait)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGTERM)
                begun = time.monotonic()
                run.communicate(timeout=30)
                assert time.monotonic() - begun < 10
    subprocess.run(command, env=environment, check=True, timeout=200)
    assert databases.target.values("SELECT kept FROM results ORDER BY id") == [
        "V1",
        "V5",
        None,
        "x",
        "V299999",
    ]
