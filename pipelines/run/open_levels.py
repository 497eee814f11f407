"""The partitions that are left to do, by the levels in which they run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pipelines.databases.open_databases import Databases
from transforms.model.partition import Partition
from transforms.steps.level import Level


def read_open_levels(
    databases: Databases, only: Collection[str], without: Collection[str]
) -> list[Level]:
    """Read what is left to do, level by level; loads that are done have only to be settled.

    Args:
        databases: The connections of the run.
        only: The loads that the run is restricted to; none means all.
        without: Loads that are left out.

    Returns:
        The levels in the order in which they run, with their open partitions, and all partitions
        of loads whose rows have still to be compared.
    """
    ledger = databases.ledger
    included = set(only or databases.specification.tables).difference(without)
    uncompared = ledger.loads.read_uncompared()
    open_by_load = _by_load(ledger.partitions.read_open())
    every_by_load = _by_load(ledger.partitions.read_all())
    loads_by_level: dict[int, list[str]] = {}
    for name, number in databases.levels.items():
        if name in included:
            loads_by_level.setdefault(number, []).append(name)
    return [
        Level(
            number,
            tuple(loads),
            tuple(p for name in loads for p in open_by_load.get(name, [])),
            tuple(p for name in loads if name in uncompared for p in every_by_load.get(name, [])),
        )
        for number, loads in sorted(loads_by_level.items())
    ]


def width_of(level: Level) -> int:
    """How many workers a level can keep busy."""
    return max(len(level.partitions), len(level.compared), len(level.loads))


def _by_load(partitions: Sequence[Partition]) -> dict[str, list[Partition]]:
    by_load: dict[str, list[Partition]] = {}
    for partition in partitions:
        by_load.setdefault(partition.load, []).append(partition)
    return by_load
