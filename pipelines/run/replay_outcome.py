"""The outcome of a replay: what became of the rows that were meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from schemas.errors import ExitStatus, Problem


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
    """What became of the rows by load. ``freed`` are rejected rows, by load, that follow from
    others which aren't rejected any more: what to replay next."""

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
