"""The outcome of a replay: what became of the rows that were meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from schemas.errors import ExitStatus, Problem
from schemas.summary import Summary


@dataclass(frozen=True)
class Replayed:
    """What became of the rejected rows of a load that were meant.

    ``rows`` = ``accepted`` + ``skipped`` + ``rejected`` + ``left``; of these ``left`` couldn't be
    read or committed, and are as they were.
    """

    rows: int
    accepted: int
    skipped: int
    rejected: int
    left: int


@dataclass(frozen=True)
class ReplayOutcome:
    """The end of a replay.

    Attributes:
        tables: What became of the rows, by load.
        freed: Rejected rows, by load, that follow from others which aren't rejected any more: what
            to replay next.
        status: The exit status.
        problems: The problems that the replay met.
        warnings: Findings about the servers.
    """

    tables: Mapping[str, Replayed]
    freed: Mapping[str, int]
    status: ExitStatus
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def totals(self) -> dict[str, int]:
        """The rows of all loads by result."""
        return {
            field.name: sum(getattr(table, field.name) for table in self.tables.values())
            for field in fields(Replayed)
        }

    @property
    def counts(self) -> str:
        """The rows of all loads by result, in words."""
        return ", ".join(f"{count} {name}" for name, count in self.totals.items())


def results_by_load(
    counts: Mapping[str, int], before: Summary, after: Summary, left: Mapping[str, int]
) -> dict[str, Replayed]:
    """Work out what became of rejected rows from the counts of the job before and after.

    Args:
        counts: How many rows were to be judged again, by load.
        before: The job's summary before the replay.
        after: The job's summary after it.
        left: Rows that couldn't be read or committed, by load.

    Returns:
        The result of each load in ``counts``.
    """
    results = {}
    for load, count in counts.items():
        accepted = after.tables[load].accepted - before.tables[load].accepted
        skipped = after.tables[load].skipped - before.tables[load].skipped
        remaining = left.get(load, 0)
        rejected = count - accepted - skipped - remaining
        results[load] = Replayed(count, accepted, skipped, rejected, remaining)
    return results
