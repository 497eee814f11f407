"""Which of several candidates with the same key wins it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.direct_calls.compiled_load import compile_one, compute
from transforms.compare.duplicates import competing_keys, losers_of

COLUMNS = {"a": "text", "b": "integer", "v": "integer"}
Rows = list[tuple[str | None, int | None, int | None]]


def losers(folder: Path, load: str, rows: Rows) -> dict[int, tuple[str, int]]:
    """The ordinals that lose, with the source key of the winner and their place after it."""
    program = compile_one(folder, f"source_key: [v], {load}", COLUMNS, COLUMNS)
    values = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    batch, _ = compute(program, values)
    keys = competing_keys(batch, program, "000001")
    lost = losers_of(keys, program.duplicates.keep).to_pylist()
    return {row["ordinal"]: (row["winner_key"], row["place"]) for row in lost}


FIELDS = "fields: {a: {from: a}, b: {from: b}, v: {from: v}}"
ONE = f"key: [a], {FIELDS}"
TWO = f"key: [a, b], {FIELDS}"
LAST = f"key: [a], duplicates: {{keep: last, order: [b]}}, {FIELDS}"
FIRST = f"key: [a], duplicates: {{keep: first, order: [b]}}, {FIELDS}"


@pytest.mark.parametrize(
    ("load", "rows", "expected"),
    [
        (ONE, [("x", 1, 1), ("y", 1, 2)], {}),
        (ONE, [("x", 1, 1), ("x", 2, 2), ("x", 3, 3)], {1: ("1", 2), 2: ("1", 3)}),
        # Keys are equal where PostgreSQL takes them as equal: letters and blanks count.
        (ONE, [("x", 1, 1), ("X", 1, 2), ("x ", 1, 3)], {}),
        # A key with a NULL in it is nobody's rival, whichever part it is.
        (ONE, [(None, 1, 1), (None, 1, 2)], {}),
        (TWO, [("x", None, 1), ("x", None, 2), (None, 1, 3), (None, 1, 4)], {}),
        (TWO, [("x", 1, 1), ("x", 2, 2), ("x", 1, 3)], {2: ("1", 2)}),
        # Parts of a key don't run into each other.
        (TWO, [("x1", 1, 1), ("x", 11, 2)], {}),
        # The order decides, NULL comes first in it; of equals the place in the source.
        (FIRST, [("x", 2, 1), ("x", 1, 2)], {0: ("2", 2)}),
        (LAST, [("x", 1, 1), ("x", 2, 2)], {0: ("2", 2)}),
        (FIRST, [("x", 1, 1), ("x", None, 2)], {0: ("2", 2)}),
        (LAST, [("x", None, 1), ("x", 1, 2)], {0: ("2", 2)}),
        (FIRST, [("x", 1, 1), ("x", 1, 2), ("x", 1, 3)], {1: ("1", 2), 2: ("1", 3)}),
        (LAST, [("x", 1, 1), ("x", 1, 2), ("x", 1, 3)], {0: ("3", 3), 1: ("3", 2)}),
        # Numbers are in the order of numbers.
        (LAST, [("x", 10, 1), ("x", 9, 2)], {1: ("1", 2)}),
    ],
)
def test_losers(
    load: str, rows: Rows, expected: dict[int, tuple[str, int]], tmp_path: Path
) -> None:
    assert losers(tmp_path, load, rows) == expected


def test_a_skipped_candidate_does_not_compete(tmp_path: Path) -> None:
    load = f"skip: {{OLD: 'b = 0'}}, {ONE}"
    assert losers(tmp_path, load, [("x", 0, 1), ("x", 1, 2), ("x", 2, 3)]) == {2: ("2", 2)}


def test_the_columns_of_competing_keys(tmp_path: Path) -> None:
    program = compile_one(tmp_path, f"source_key: [v], {ONE}", COLUMNS, COLUMNS)
    batch, _ = compute(program, {"a": ["x"], "b": [1], "v": [1]})
    assert competing_keys(batch, program, "000001").schema == pa.schema(
        {
            "key": pa.string(),
            "order": pa.binary(),
            "hash": pa.uint64(),
            "partition": pa.string(),
            "ordinal": pa.int32(),
            "source_key": pa.string(),
        }
    )
