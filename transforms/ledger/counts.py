"""How many rows of a partition were accepted, rejected, skipped and written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Counts:
    """The rows of one partition, or a change of such counts.

    ``candidates`` = ``accepted`` + ``rejected`` + ``skipped``; ``written`` = ``accepted`` +
    ``expanded`` unless the target dropped rows.

    Attributes:
        read: Rows that were read.
        empty: Rows without content, which are no candidates.
        candidates: Rows, or parts of rows, that should become target rows.
        accepted: Candidates that were written.
        rejected: Candidates with a violation.
        skipped: Candidates that the specification leaves out.
        written: Rows that the target has taken.
        inserted: The written rows that are new in the target.
        expanded: Further rows that code clusters gave.
        placeholders: Parents that were made, by load.
        skipped_by: Skipped candidates, by the name of the skip.
        violations: Violations that reject, by code.
        warnings: Violations that don't, by code.
        rejected_by: Rejected candidates, by code.
    """

    read: int = 0
    empty: int = 0
    candidates: int = 0
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    written: int = 0
    inserted: int = 0
    expanded: int = 0
    placeholders: Mapping[str, int] = field(default_factory=dict)
    skipped_by: Mapping[str, int] = field(default_factory=dict)
    violations: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    rejected_by: Mapping[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        """Whether each candidate is accepted, rejected or skipped."""
        return self.candidates == self.accepted + self.rejected + self.skipped

    def __add__(self, other: Counts) -> Counts:
        return self._combine(other, 1)

    def __sub__(self, other: Counts) -> Counts:
        return self._combine(other, -1)

    def _combine(self, other: Counts, sign: int) -> Counts:
        values: dict[str, Any] = {}
        for item in fields(self):
            one, two = getattr(self, item.name), getattr(other, item.name)
            if isinstance(one, int):
                values[item.name] = one + sign * two
            else:
                values[item.name] = _sum_by_name(one, two, sign)
        return Counts(**values)


def _sum_by_name(one: Mapping[str, int], two: Mapping[str, int], sign: int) -> dict[str, int]:
    """Add counts by name; those that become 0 are left out."""
    total = Counter(one)
    total.update({name: sign * count for name, count in two.items()})
    return {name: count for name, count in total.items() if count}
