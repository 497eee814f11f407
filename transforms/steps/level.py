"""A level: loads that need only what the levels above have committed."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.model.partition import Partition


@dataclass(frozen=True)
class Level:
    """The work of one level: its loads, and their partitions that aren't done yet.

    ``compared`` are the loads whose rows are still to be compared with each other, with all their
    partitions, done or not, since a key competes with every other of its load.
    """

    number: int
    loads: tuple[str, ...]
    partitions: tuple[Partition, ...]
    compared: tuple[Partition, ...] = ()
