"""The engine: each result belongs to its row, or there is none."""

from __future__ import annotations

import pyarrow as pa
import pytest

from transforms.sql.duckdb_engine import RowsMovedError, evaluate_each, select

ROWS = pa.RecordBatch.from_pydict({"a": ["x;y", None, "z", "u"], "n": [4, 3, 2, 1]})


def test_one_value_for_each_row() -> None:
    found = evaluate_each(select(["n + 1 AS v"]), ROWS)
    assert found.to_pydict() == {"v": [5, 4, 3, 2]}
    assert evaluate_each(select(["n + 1 AS v"]), ROWS.slice(0, 0)).to_pydict() == {"v": []}


@pytest.mark.parametrize(
    "query",
    [
        select(["unnest(string_split(a, ';')) AS v"]),
        select(["a AS v"], "batch WHERE n > 1"),
        select(["a AS v"], "batch ORDER BY n"),
        select(["a AS v"], "batch LIMIT 3"),
        select(["batch.a AS v"], "batch, (SELECT unnest([1, 2])) AS twice"),
    ],
)
def test_values_of_other_rows_are_no_result(query: str) -> None:
    with pytest.raises(RowsMovedError):
        evaluate_each(query, ROWS)
