"""What people changed or viewed, in ``migration_audit``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pipelines.audit.actor import current_actor
from pipelines.ledger.violation_filter import ViolationFilter
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class AuditRows:
    """Records what is done to the session's job, by whom; never a value of a row."""

    session: LedgerSession

    def record(
        self,
        action: str,
        subject: str = "",
        rows: int | None = None,
        reason: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an action in the caller's transaction, so that there is none without a record.

        Args:
            action: What is done, such as ``discard``.
            subject: What it is done to: a load, a violation's id, a map.
            rows: How many rows.
            reason: Why, in the words of the person.
            details: Names and numbers that describe it further.

        Raises:
            TransfuseError: USER-002 if the role may not record it.
        """
        actor = current_actor()
        try:
            self.session.execute(
                "INSERT INTO {migration_audit} (job_id, action, object, rows, reason, details,"
                " person, host) VALUES (%(job)s, %(action)s, %(subject)s, %(rows)s, %(reason)s,"
                " %(details)s, %(person)s, %(host)s)",
                {
                    "action": action,
                    "subject": subject,
                    "rows": rows,
                    "reason": reason,
                    "details": Jsonb(dict(details or {})),
                    "person": actor.person,
                    "host": actor.host,
                },
            )
        except psycopg.errors.InsufficientPrivilege:
            raise TransfuseError(self._lacking_right()) from None

    def record_if_possible(self, action: str, subject: str) -> bool:
        """Record an action that needs no control tables, where the role may.

        Args:
            action: What is done, such as ``view_values``.
            subject: What it is done to.

        Returns:
            False if there is no such table, or the role may not write it.
        """
        try:
            with self.session.connection.transaction():
                self.record(action, subject)
        except (
            TransfuseError,
            psycopg.errors.UndefinedTable,
            psycopg.errors.ReadOnlySqlTransaction,
        ):
            return False
        return True

    def _lacking_right(self) -> Problem:
        table = self.session.table("migration_audit").as_string()
        return Problem(
            ErrorCode.USER_002,
            "the role lacks INSERT for the record of who does this, so it isn't done",
            f"target, {table}",
            f"GRANT INSERT ON {table} TO {self._role()};",
        )

    def _role(self) -> str:
        info = self.session.connection.info
        return psycopg.sql.Identifier(info.user).as_string()


def describe_filter(wanted: ViolationFilter) -> dict[str, str]:
    """The parts of a filter that are set, for a record."""
    parts = {
        "code": wanted.code and wanted.code.value,
        "loads": wanted.loads and ", ".join(wanted.loads),
        "rule": wanted.rule,
    }
    return {name: value for name, value in parts.items() if value}
