"""The element of a replay: rejected rows of one partition, by what identifies them."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.partitions.partition import Partition


@dataclass(frozen=True)
class RejectedRows:
    """Rows that are to be read and judged again, by their source keys, each once.

    ``partition`` is the one in which they were read and are counted.
    """

    partition: Partition
    source_keys: tuple[str, ...]


@dataclass(frozen=True)
class RejectedLevel:
    """The rejected rows of one level, and the loads whose rows they are."""

    number: int
    loads: tuple[str, ...]
    rows: tuple[RejectedRows, ...]
