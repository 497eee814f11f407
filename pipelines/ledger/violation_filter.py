"""The violations that a person means: by code, load and rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from schemas.errors import ErrorCode

ViolationStatus = Literal["open", "discarded"]


@dataclass(frozen=True)
class ViolationFilter:
    """A condition on violations; None is any.

    Attributes:
        code: Their error code.
        loads: The loads of which one is theirs.
        rule: Their rule, as ``migration_errors.rule_id`` has it.
    """

    code: ErrorCode | None = None
    loads: tuple[str, ...] | None = None
    rule: str | None = None

    @property
    def is_any(self) -> bool:
        """Whether every violation matches."""
        return self == ViolationFilter()

    def values(self, status: ViolationStatus = "open") -> dict[str, Any]:
        """The values that ``MATCHING`` needs for this filter and violations of a status."""
        return {
            "status": status,
            "code": self.code and self.code.value,
            "loads": None if self.loads is None else list(self.loads),
            "rule": self.rule,
        }


MATCHING = (
    "{migration_errors} WHERE job_id = %(job)s AND status = %(status)s"
    " AND (%(code)s::text IS NULL OR error_code = %(code)s)"
    " AND (%(loads)s::text[] IS NULL OR load = ANY(%(loads)s))"
    " AND (%(rule)s::text IS NULL OR rule_id = %(rule)s)"
)
"""The violations and warnings that match a filter, to follow FROM in a statement of a ledger
session."""

ROWS = "count(DISTINCT (load, partition_id, source_key, CASE WHEN source_key IS NULL THEN id END))"
"""SQL that counts the rows of violations. Which of them belong to one row that has no source key
can't be seen: each counts as one."""
