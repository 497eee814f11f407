"""One violation as ``migration_errors`` has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from schemas.errors import ErrorCode
from schemas.remedies import remedy_of


@dataclass(frozen=True)
class RecordedViolation:
    """A row of ``migration_errors``. Of the source row it has keys and no other values."""

    id: int
    job_id: str
    created_at: datetime
    error_code: str
    error_type: str
    category: str
    severity: str
    rule_id: str
    field: str | None
    reason: str | None
    warning: bool
    message: str
    load: str
    source_table: str
    partition_id: str
    source_key: str | None
    target_table: str
    target_key: str | None
    root_cause_id: int | None
    status: str
    attempts: int

    @property
    def description(self) -> str:
        """The meaning of its error code."""
        return ErrorCode(self.error_code).description

    @property
    def remedy(self) -> str:
        """The way to get such rows accepted."""
        return remedy_of(self.error_code, self.rule_id, self.field, self.reason)
