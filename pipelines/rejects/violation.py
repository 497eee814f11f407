"""One violation as the error sink has it, with its row's other violations and its root cause."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from pipelines.ledger.job import control_table, stored_job
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.remedies import remedy_of
from schemas.specification.root import Specification


@dataclass(frozen=True)
class RecordedViolation:
    """A row of ``migration_errors``. There is no value of the source row in it but keys."""

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
        return ErrorCode(self.error_code).description

    @property
    def remedy(self) -> str:
        return remedy_of(self.error_code, self.rule_id, self.field, self.reason)

    def as_json(self) -> dict[str, Any]:
        told = {"description": self.description, "remedy": self.remedy}
        return {**asdict(self), "created_at": self.created_at.isoformat(), **told}


@dataclass(frozen=True)
class ViolationInContext:
    """A violation and what belongs to it.

    ``root_causes`` lead from the violation that it follows from to the first one;
    ``same_row`` are the other violations of its row.
    """

    violation: RecordedViolation
    root_causes: tuple[RecordedViolation, ...]
    same_row: tuple[RecordedViolation, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            **self.violation.as_json(),
            "root_causes": [cause.as_json() for cause in self.root_causes],
            "same_row": [other.as_json() for other in self.same_row],
        }


def read_violation(
    target: psycopg.Connection[Any], specification: Specification, identifier: str
) -> ViolationInContext:
    """The violation with that id; raises TransfuseError (USER-001) where the job has none."""
    found: list[RecordedViolation] = []
    # The ids are bigint: more digits would be an error of the server.
    is_id = identifier.isascii() and identifier.isdigit() and len(identifier) <= 18
    if is_id and stored_job(target, specification) is not None:
        found = _violations(target, specification, "id = %s", [int(identifier)])
    if not found:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the job '{specification.job}' has no violation {identifier!r}",
                "ID",
                "'rejects list' gives ids; --job NAME looks at another job",
            )
        )
    violation = found[0]
    same_row = _violations(
        target,
        specification,
        "load = %s AND partition_id = %s AND source_key = %s AND id <> %s",
        [violation.load, violation.partition_id, violation.source_key, violation.id],
    )
    causes = _root_causes(target, specification, violation)
    return ViolationInContext(violation, tuple(causes), tuple(same_row))


def _root_causes(
    target: psycopg.Connection[Any], specification: Specification, violation: RecordedViolation
) -> list[RecordedViolation]:
    causes: list[RecordedViolation] = []
    seen = {violation.id}
    following = violation.root_cause_id
    while following is not None and following not in seen:
        seen.add(following)
        found = _violations(target, specification, "id = %s", [following])
        causes += found
        following = found[0].root_cause_id if found else None
    return causes


def _violations(
    target: psycopg.Connection[Any],
    specification: Specification,
    condition: str,
    values: list[Any],
) -> list[RecordedViolation]:
    columns = sql.SQL(", ").join(sql.Identifier(f.name) for f in fields(RecordedViolation))
    with target.cursor(row_factory=class_row(RecordedViolation)) as cursor:
        return cursor.execute(
            sql.SQL("SELECT {} FROM {} WHERE job_id = %s AND {} ORDER BY id").format(
                columns,
                control_table(specification, "migration_errors"),
                sql.SQL(condition),
            ),
            [specification.job, *values],
        ).fetchall()
