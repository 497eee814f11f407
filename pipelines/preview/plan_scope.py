"""Which loads a plan is about, and how many of their rows it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.partition import Partition
from transforms.prediction.sample import ROWS, sample_of


@dataclass(frozen=True)
class PlanScope:
    """The loads and rows to read, and until when.

    Attributes:
        rows: Up to so many rows of each load are read, or all of them (None).
        loads: The loads; all if empty.
        until: The time (``time.monotonic``) from which no further load is begun; None for no limit.
    """

    rows: int | None = ROWS
    loads: tuple[str, ...] = ()
    until: float | None = None

    @classmethod
    def of(cls, full: bool, rows: int | None, loads: Sequence[str]) -> PlanScope:
        """The scope that the flags of ``plan`` describe.

        Args:
            full: ``--full``.
            rows: The number of ``--sample``.
            loads: Those that ``--table`` names.

        Raises:
            TransfuseError: USER-001 for ``--full`` with a sample.
        """
        if full and rows is not None:
            message = "--full reads every row, and --sample only some"
            raise TransfuseError(
                Problem(ErrorCode.USER_001, message, "--sample", "leave one of them out")
            )
        return cls(None if full else rows or ROWS, tuple(loads))

    def includes(self, load: str) -> bool:
        """Whether the plan is about a load."""
        return not self.loads or load in self.loads

    def is_over(self, now: float) -> bool:
        """Whether no further load is to be begun."""
        return self.until is not None and now >= self.until

    def sample(self, partitions: Sequence[Partition]) -> Sequence[Partition]:
        """What is to be read of a load's partitions."""
        return partitions if self.rows is None else sample_of(partitions, self.rows)
