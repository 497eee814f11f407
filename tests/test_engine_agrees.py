"""The columnar engine agrees with the oracle, row by row, on generated loads and dirty tables."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.engine import compiled, differences, run_batch
from tests.oracle.rows import run_row
from tests.oracle.strategies import dirty_rows, loads

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "300"))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="ORACLE_SEED" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_every_row_comes_out_as_the_oracle_says(data):
    load, used = data.draw(loads(), label="load")
    rows = data.draw(dirty_rows(used), label="rows")
    got = run_batch(load, compiled(load), rows)
    for row, outcome in zip(rows, got, strict=True):
        expected = run_row(load, row, str(row["id"]))
        given = {name: value for name, value in row.items() if value is not None}
        assert not differences(load, expected, outcome), given
