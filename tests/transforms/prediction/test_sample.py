"""Which rows a sample of a load is made of."""

from __future__ import annotations

from itertools import pairwise

import pytest

from transforms.model.partition import Partition
from transforms.prediction import sample
from transforms.prediction.sample import sample_of


def _partitions(*rows: int) -> list[Partition]:
    return [Partition("load", f"{i:03d}", f"n = {i}", count) for i, count in enumerate(rows)]


def test_a_small_load_is_read_in_whole() -> None:
    partitions = _partitions(60_000, 40_000)
    assert sample_of(partitions) == partitions


def test_no_rows() -> None:
    assert sample_of(_partitions(0)) == _partitions(0)


@pytest.mark.parametrize("count", [2, 3, 19, 20, 21, 1000])
def test_a_large_load_is_read_here_and_there(count: int) -> None:
    partitions = _partitions(*[90_000] * count)
    found = sample_of(partitions)
    assert sum(p.rows for p in found) <= sample.ROWS
    assert sum(p.rows for p in found) > 0.9 * sample.ROWS
    places = [int(p.id) for p in found]
    assert len(places) == min(count, sample.PLACES)
    # Evenly apart, from the first on, and no place twice.
    gaps = {b - a for a, b in pairwise(places)}
    assert places[0] == 0
    assert max(gaps) - min(gaps) <= 1
    assert min(gaps) >= 1
    assert all(p.limit == p.rows for p in found)


def test_a_partition_that_is_small_already() -> None:
    found = sample_of(_partitions(300_000, 7))
    assert [(p.limit, p.rows) for p in found] == [(50_000, 50_000), (None, 7)]
