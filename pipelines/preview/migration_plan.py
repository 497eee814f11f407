"""The result of ``plan``: what a migration would do, estimated for all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.errors import ExitStatus, Problem
from transforms.ledger.error_budgets import BrokenBudget
from transforms.prediction.load_prediction import Prediction, ViolationKind


@dataclass(frozen=True)
class PlannedLoad:
    """A load: how it is divided, and what is predicted of its rows from a sample of them.

    Attributes:
        into: The target table.
        level: The level in which it runs, from 0.
        rows: The rows of its source.
        partitions: How many partitions it would have.
        sampled: How many rows of the source were read. One may give several candidates, or none.
        prediction: The counts of the sampled rows.
        planning: The seconds that dividing it took.
        work: The seconds that one worker takes to read and check all rows.
        not_predicted: The checks that only the migration itself makes.
    """

    into: str
    level: int
    rows: int
    partitions: int
    sampled: int
    prediction: Prediction
    planning: float
    work: float
    not_predicted: tuple[str, ...]

    def estimate(self, count: int) -> int:
        """Scale a count of sampled rows to all rows."""
        if self.sampled == self.rows:
            return count
        return round(count * self.rows / self.sampled) if self.sampled else 0

    @property
    def estimated_kinds(self) -> dict[ViolationKind, int]:
        """Rows by kind of violation, most first, warnings last."""
        kinds = self.prediction.kinds.items()
        ordered = sorted(kinds, key=lambda kind: (kind[0].warning, -kind[1], str(kind[0])))
        return {kind: self.estimate(count) for kind, count in ordered}


@dataclass(frozen=True)
class MigrationPlan:
    """What a migration would do.

    Attributes:
        job: The job.
        levels: The loads that run together, level by level.
        loads: The prediction for each load whose rows the source can give.
        seconds: How long the migration would take on this machine.
        sources: The connections that it needs to each source.
        target: The connections that it needs to the target.
        broken: The error budgets that it would break.
        maps: The GEMs of its codes by map, with the releases that targets are checked against.
        warnings: Findings about the servers that don't keep it from starting.
        problems: Those of loads whose rows the source can't give.
    """

    job: str
    levels: tuple[tuple[str, ...], ...]
    loads: Mapping[str, PlannedLoad]
    seconds: float
    sources: Mapping[str, int]
    target: int
    broken: tuple[BrokenBudget, ...]
    maps: Mapping[str, str]
    warnings: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def status(self) -> ExitStatus:
        """INCOMPLETE if a source can't give rows, BLOCKED if a budget would be broken."""
        if self.problems:
            return ExitStatus.INCOMPLETE
        return ExitStatus.BLOCKED if self.broken else ExitStatus.COMPLETE

    @property
    def rows(self) -> int:
        """The source rows of all loads."""
        return sum(load.rows for load in self.loads.values())

    @property
    def sampled(self) -> int:
        """The source rows that were read."""
        return sum(load.sampled for load in self.loads.values())

    def by_code(self, warnings: bool) -> dict[str, int]:
        """Estimate violations, or warnings, by code for all rows."""
        total: Counter[str] = Counter()
        for load in self.loads.values():
            for kind, count in load.estimated_kinds.items():
                if kind.warning is warnings:
                    total[kind.code] += count
        return dict(sorted(total.items()))
