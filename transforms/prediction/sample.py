"""A sample of a load's rows, from all parts of its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transforms.model.partition import Partition

ROWS = 100_000
"""Rows of a load up to which all of them are read: about half a second's work."""

PLACES = 20
"""Places of a larger source at which the rows of a sample are read: what is wrong with rows
changes with the years in which they were written."""


def sample_of(partitions: Sequence[Partition], rows: int = ROWS) -> list[Partition]:
    """Partitions of up to ``rows`` rows together, or all of them where there are no more.

    Those of a sample are the first rows of partitions that lie evenly apart.
    """
    if sum(p.rows for p in partitions) <= rows:
        return list(partitions)
    count = min(PLACES, len(partitions), rows)
    limit = rows // count
    return [_first(partitions[i * len(partitions) // count], limit) for i in range(count)]


def _first(partition: Partition, limit: int) -> Partition:
    if partition.rows <= limit:
        return partition
    return replace(partition, limit=limit, rows=limit)
