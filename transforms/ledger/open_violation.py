"""A violation that is still open, and how rows with such violations are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from transforms.ledger.counts import Counts

Kind = tuple[str, str, str | None, str | None, bool]
"""Code, rule, field, reason, and whether it is a warning."""


@dataclass(frozen=True)
class OpenViolation:
    """A violation of a row that is still open.

    Attributes:
        id: The number of the violation.
        source_key: That of the row.
        target_key: That of the row, as far as it was known.
        kind: What is wrong.
        attempts: How often the row has been tried.
    """

    id: int
    source_key: str
    target_key: str | None
    kind: Kind
    attempts: int

    @property
    def rejects(self) -> bool:
        """Whether the row is rejected for it, as it isn't for a warning."""
        return not self.kind[4]


def count_rejected(violations: Sequence[OpenViolation]) -> Counts:
    """Count rejected rows by their violations.

    Args:
        violations: All of each row.

    Returns:
        The counts of violations and rejected rows; all others are 0.
    """
    rejecting = [v for v in violations if v.rejects]
    rows_by_code = {(v.source_key, v.kind[0]) for v in rejecting}
    return Counts(
        rejected=len({v.source_key for v in rejecting}),
        violations=dict(Counter(v.kind[0] for v in rejecting)),
        warnings=dict(Counter(v.kind[0] for v in violations if not v.rejects)),
        rejected_by=dict(Counter(code for _, code in rows_by_code)),
    )
