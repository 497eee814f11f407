"""Which rejections a person means: by code, table and rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from pipelines.job import control_table
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification

ROWS = sql.SQL(
    "count(DISTINCT (load, partition_id, source_key, CASE WHEN source_key IS NULL THEN id END))"
)
"""SQL that counts the rows of violations. Which of them belong to one row that has no source key
nobody knows: each counts as one."""


@dataclass(frozen=True)
class Filter:
    """Which violations are meant; None is any. ``loads`` are those that ``--table`` names."""

    code: ErrorCode | None = None
    loads: tuple[str, ...] | None = None
    rule: str | None = None

    @classmethod
    def of(
        cls, specification: Specification, code: str | None, table: str | None, rule: str | None
    ) -> Filter:
        """Raises TransfuseError (USER-001) for a code or a table that doesn't exist."""
        problems = []
        known = {known.value: known for known in ErrorCode}
        if code is not None and code.upper() not in known:
            remedy = f"known: {', '.join(known)}"
            problems.append(
                Problem(ErrorCode.USER_001, f"there is no code '{code}'", "--code", remedy)
            )
        loads = None if table is None else _loads_of(specification, table)
        if loads == ():
            remedy = f"known: {', '.join(specification.tables)}"
            told = f"the specification has no table '{table}'"
            problems.append(Problem(ErrorCode.USER_001, told, "--table", remedy))
        if problems:
            raise TransfuseError(problems)
        return cls(None if code is None else known[code.upper()], loads, rule)

    def violations(self, specification: Specification) -> tuple[sql.Composable, dict[str, Any]]:
        """The open violations that are meant, warnings too: what stands after FROM, with its
        parameters."""
        chosen = sql.SQL(
            "{} WHERE job_id = %(job)s AND status = 'open'"
            " AND (%(code)s::text IS NULL OR error_code = %(code)s)"
            " AND (%(loads)s::text[] IS NULL OR load = ANY(%(loads)s))"
            " AND (%(rule)s::text IS NULL OR rule_id = %(rule)s)"
        ).format(control_table(specification, "migration_errors"))
        return chosen, {
            "job": specification.job,
            "code": self.code and self.code.value,
            "loads": None if self.loads is None else list(self.loads),
            "rule": self.rule,
        }


def _loads_of(specification: Specification, table: str) -> tuple[str, ...]:
    """The load of that name, else all that read or write a table of that name."""
    if table in specification.tables:
        return (table,)
    return tuple(
        name
        for name, load in specification.tables.items()
        if table in (specification.target_table(name), *(r.table for r in load.from_))
    )
