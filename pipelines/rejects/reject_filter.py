"""Which rejections a person means: by code, table and rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table
from pipelines.terminal.flag_check import closest
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification

RowStatus = Literal["open", "discarded"]

_WHERE_TO_LOOK: dict[RowStatus, str] = {
    "open": "'rejects list' without a filter shows all of them",
    "discarded": "the table migration_errors has them, with the status 'discarded'",
}

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

    @property
    def is_any(self) -> bool:
        """Whether every violation is meant."""
        return self == Filter()

    @classmethod
    def of(
        cls, specification: Specification, code: str | None, table: str | None, rule: str | None
    ) -> Filter:
        """The filter that the flags of a verb describe.

        Raises:
            TransfuseError: USER-001 for a code or a table that doesn't exist.
        """
        problems = []
        codes = {one.value: one for one in ErrorCode}
        if code is not None and code.upper() not in codes:
            problems.append(_nothing_called("code", code, "--code", list(codes)))
        loads = None if table is None else _loads_of(specification, table)
        if table is not None and loads == ():
            problems.append(_nothing_called("table", table, "--table", list(specification.tables)))
        if problems:
            raise TransfuseError(problems)
        return cls(None if code is None else codes[code.upper()], loads, rule)

    def refuse_no_match(
        self,
        target: psycopg.Connection[Any],
        specification: Specification,
        *,
        rejected_only: bool = False,
        status: RowStatus = "open",
    ) -> None:
        """Refuses a filter that no violation matches: it is probably mistyped.

        Args:
            target: A connection to the target, where the job has run.
            specification: That of the job.
            rejected_only: Whether warnings don't count.
            status: That of the violations that are meant.

        Raises:
            TransfuseError: USER-001, with the closest rule where there is none of that name.
        """
        if self.is_any:
            return
        chosen, values = self.violations(specification, status)
        condition = sql.SQL(" AND NOT warning" if rejected_only else "")
        matching = sql.SQL("SELECT FROM {}{} LIMIT 1").format(chosen, condition)
        if target.execute(matching, values).fetchone() is not None:
            return
        rules = _recorded_rules(target, specification)
        if self.rule is not None and self.rule not in rules:
            raise TransfuseError(_nothing_called("rule", self.rule, "--rule", rules))
        what = f"{status} rejection" if rejected_only else f"{status} rejection or warning"
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"no {what} of the job '{specification.job}' matches the filter",
                self._flags(),
                _WHERE_TO_LOOK[status],
            )
        )

    def scope_problems(self, everything: bool, verb: str) -> list[Problem]:
        """The problems of a command that must say which rows it means.

        Args:
            everything: Whether ``--all`` is given.
            verb: What is to be done to the rows, as in "discarded".

        Returns:
            USER-001 for neither a filter nor ``--all``, and for both.
        """
        if self.is_any and not everything:
            message = f"nothing says which rows are to be {verb}"
            remedy = "give --code, --table or --rule, or --all for every such row of the job"
            return [Problem(ErrorCode.USER_001, message, "", remedy)]
        if everything and not self.is_any:
            message = "a filter and --all contradict each other"
            return [Problem(ErrorCode.USER_001, message, "--all", "leave one of them out")]
        return []

    def _flags(self) -> str:
        """The filter as it is typed, with loads in place of tables."""
        flags = [] if self.code is None else [f"--code {self.code.value}"]
        flags += [f"--table {name}" for name in self.loads or ()]
        return " ".join(flags if self.rule is None else [*flags, f"--rule {self.rule}"])

    def violations(
        self, specification: Specification, status: RowStatus = "open"
    ) -> tuple[sql.Composable, dict[str, Any]]:
        """The violations of a status that are meant, warnings too: what stands after FROM, with its
        parameters."""
        chosen = sql.SQL(
            "{} WHERE job_id = %(job)s AND status = %(status)s"
            " AND (%(code)s::text IS NULL OR error_code = %(code)s)"
            " AND (%(loads)s::text[] IS NULL OR load = ANY(%(loads)s))"
            " AND (%(rule)s::text IS NULL OR rule_id = %(rule)s)"
        ).format(control_table(specification, "migration_errors"))
        return chosen, {
            "job": specification.job,
            "status": status,
            "code": self.code and self.code.value,
            "loads": None if self.loads is None else list(self.loads),
            "rule": self.rule,
        }


def never_ran(specification: Specification) -> Problem:
    """The problem that there is no such job yet, and so nothing rejected."""
    message = f"the job '{specification.job}' has not run yet"
    return Problem(ErrorCode.USER_003, message, "", "'migrate' it first")


def _nothing_called(kind: str, name: str, flag: str, existing: list[str]) -> Problem:
    meant = closest(name, existing) or closest(name.upper(), existing)
    listed = f"there are: {', '.join(existing)}" if existing else "nothing has been rejected"
    return Problem(
        ErrorCode.USER_001,
        f"there is no {kind} '{name}'",
        flag,
        f"did you mean '{meant}'?" if meant else listed,
    )


def _recorded_rules(target: psycopg.Connection[Any], specification: Specification) -> list[str]:
    """The rules of all violations of the job, whatever has become of these."""
    rows = target.execute(
        sql.SQL("SELECT DISTINCT rule_id FROM {} WHERE job_id = %s ORDER BY 1").format(
            control_table(specification, "migration_errors")
        ),
        [specification.job],
    ).fetchall()
    return [rule for (rule,) in rows if rule is not None]


def _loads_of(specification: Specification, table: str) -> tuple[str, ...]:
    """The load of that name, else all that read or write a table of that name."""
    if table in specification.tables:
        return (table,)
    return tuple(
        name
        for name, load in specification.tables.items()
        if table in (specification.target_table(name), *(r.table for r in load.from_))
    )
