"""Lookup tables: one value for each key, chains to their end, and a digest of what they hold."""

from __future__ import annotations

import random
import time

import pyarrow as pa
import pytest

from schemas.code_maps.chains import CircularChains
from schemas.code_maps.lookup_table import ContradictoryKeys, LookupTable

Row = tuple[str | None, ...]


def table_of(rows: list[Row], chain: bool = False) -> LookupTable:
    *keys, values = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
    return LookupTable.build("m", keys, values, chain)


def pairs(table: LookupTable) -> dict[Row, str | None]:
    keys = zip(*(column.to_pylist() for column in table.keys), strict=True)
    return dict(zip(keys, table.values.to_pylist(), strict=True))


def test_rows_that_repeat_and_rows_without_a_whole_key() -> None:
    rows: list[Row] = [("b", "1", "x"), ("a", "1", None), ("b", "1", "x"), (None, "1", "y")]
    rows += [("b", None, "y"), ("a", "1", None), ("", "", "")]
    assert pairs(table_of(rows)) == {("b", "1"): "x", ("a", "1"): None, ("", ""): ""}


@pytest.mark.parametrize("other", ["y", None, ""])
def test_a_key_with_two_values(other: str | None) -> None:
    with pytest.raises(ContradictoryKeys) as raised:
        table_of([("a", "x"), ("b", "y"), (None, "z"), ("a", "x"), ("a", other)])
    assert raised.value.rows == ((3, 4),)


def test_the_digest_is_that_of_the_content_alone() -> None:
    rows: list[Row] = [("a", "x"), ("b", None), ("c", ""), (None, "x")]
    assert table_of(rows).label == table_of(rows[::-1] + rows[:2]).label
    others: list[list[Row]] = [
        [("a", "x"), ("b", ""), ("c", "")],
        [("a", "x"), ("b", ""), ("c", None)],
        [("ax", ""), ("b", None), ("c", "")],
        [("a", "x"), ("b", None)],
        [("a", "x", "y")],
        [("a", "xy", "")],
        [("ax", "", "y")],
    ]
    labels = [table_of(rows).label, *(table_of(other).label for other in others)]
    assert len(set(labels)) == len(labels)


def test_a_table_without_rows() -> None:
    empty = LookupTable.build("m", [pa.array([], pa.string())], pa.array([], pa.string()), True)
    assert (pairs(empty), empty.has_content) == ({}, True)


def test_chains_end_where_nothing_follows() -> None:
    rows: list[Row] = [("a", "b"), ("b", "c"), ("d", "d"), ("e", "d"), ("f", "g"), ("g", None)]
    assert pairs(table_of(rows, chain=True)) == {
        ("a",): "c", ("b",): "c", ("d",): "d", ("e",): "d", ("f",): None, ("g",): None
    }  # fmt: skip


def test_circles_are_counted_and_one_is_named() -> None:
    rows: list[Row] = [("x", "a"), ("b", "c"), ("s", "s"), ("c", "a"), ("a", "b"), ("y", "x")]
    rows += [(None, "x"), ("p", "q"), ("q", "p"), ("r", "p")]
    with pytest.raises(CircularChains) as raised:
        table_of(rows, chain=True)
    assert (raised.value.count, raised.value.rows) == (2, (1, 3, 4))


def test_chains_of_any_shape_are_followed_as_one_would_by_hand() -> None:
    chance = random.Random(7)
    for _ in range(50):
        count = chance.randint(1, 40)
        follows = {str(i): str(chance.randint(i, count + 2)) for i in range(count)}
        rows: list[Row] = list(follows.items())
        chance.shuffle(rows)
        for (key,), value in pairs(table_of(rows, chain=True)).items():
            end = follows[str(key)]
            while follows.get(end, end) != end:
                end = follows[end]
            assert value == end


def test_a_long_chain_takes_no_longer_than_many_short_ones() -> None:
    count = 300_000
    long: list[Row] = [(f"{i:07}", f"{i + 1:07}") for i in range(count)]
    begun = time.process_time()
    table = table_of(long, chain=True)
    assert time.process_time() - begun < 10
    assert table.values.unique().to_pylist() == [f"{count:07}"]
