"""Rows per second of a run, and when they collapse (SYS-002)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from schemas.errors import ErrorCode, Problem

WINDOW = 60.0
"""Seconds that are compared with all that was before: longer than any usual partition takes."""

COLLAPSE = 10
"""How many times slower is a collapse. Tables differ by less than that from each other."""


@dataclass(frozen=True)
class Sample:
    """How many rows were committed at a moment, in seconds of any clock that only goes forward."""

    seconds: float
    rows: int


class Throughput:
    """Takes samples in the order of time, and reports a collapse once."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._first: Sample | None = None
        self._recent: deque[Sample] = deque()
        self._collapsed = False

    def restart(self) -> None:
        """Forgets all samples: what comes now is not to be compared with what was."""
        self._first = None
        self._recent.clear()
        self._collapsed = False

    def add(self, sample: Sample) -> Problem | None:
        """Takes a sample. SYS-002 where the last WINDOW was far slower than the time before.

        Not before three windows have passed, and again only after it has recovered.
        """
        self._first = self._first or sample
        self._recent.append(sample)
        while len(self._recent) > 1 and self._recent[1].seconds <= sample.seconds - WINDOW:
            self._recent.popleft()
        start = self._recent[0]
        before = start.seconds - self._first.seconds
        if before < 2 * WINDOW:
            return None
        usual = (start.rows - self._first.rows) / before
        now = (sample.rows - start.rows) / (sample.seconds - start.seconds)
        was, self._collapsed = self._collapsed, now * COLLAPSE < usual
        if was or not self._collapsed:
            return None
        return Problem(
            ErrorCode.SYS_002,
            f"{now:,.0f} rows/s in the last {WINDOW:.0f} s, and {usual:,.0f} before",
            f"job {self._job}",
            "look on the servers for locks that are held (pg_locks), slow statements"
            " (pg_stat_activity) and a busy disk",
        )
