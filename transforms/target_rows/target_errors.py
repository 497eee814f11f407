"""What it means when the server refuses a row: SQLSTATE and constraint to code, rule, reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from schemas.errors import ErrorCode
from schemas.violations import Violation
from transforms.postgres.server_errors import is_raised_by_function

DROPPED = "TF001"
"""Stands for a row that the server left out without an error. No SQLSTATE of PostgreSQL's."""

NO_PARTITION = "TF002"
"""Stands for a check_violation that is none of a constraint: the table, or none of its partitions,
takes the row. No SQLSTATE of PostgreSQL's."""

KEY_CHANGED = "TF003"
"""Stands for a row that a trigger stores under another key than its own, or takes for the row
with that key. No SQLSTATE of PostgreSQL's."""

SETTINGS_CHANGED = "TF004"
"""Stands for a row for which a trigger changes ``session_replication_role``, so that later rows
aren't checked. No SQLSTATE of PostgreSQL's."""

_STAND_INS = {
    DROPPED: "dropped_by_target",
    NO_PARTITION: "no_partition",
    KEY_CHANGED: "key_changed_by_target",
    SETTINGS_CHANGED: "settings_changed_by_target",
}

_CHECK_VIOLATION = "23514"

_CODES = {
    "23502": ErrorCode.DATA_001,
    "23503": ErrorCode.DATA_002,
    "23505": ErrorCode.DATA_004,
    "23P01": ErrorCode.DATA_004,
}
_VALUE_CLASSES = frozenset({"22", "54"})
_CONSTRAINT_CLASS = "23"
_TRIGGER_CLASS = "P0"
_OTHER_ROW_CLASSES = frozenset({"09", "21", "27", "38", "44"})
"""A trigger's own statement, a view's check option, functions in other languages."""

_NAME_TOO_LONG = "42622"
_BAD_COPY_FORMAT = "22P04"
"""Says that a COPY stream is broken, which no value can do to it."""

_CONDITIONS: dict[str, str] = {
    error.sqlstate: re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()
    for error in vars(psycopg.errors).values()
    if isinstance(error, type) and issubclass(error, psycopg.Error) and error.sqlstate
}
_OTHER_CLASSES = frozenset({state[:2] for state in _CONDITIONS}) - (
    _VALUE_CLASSES | _OTHER_ROW_CLASSES | {_CONSTRAINT_CLASS, _TRIGGER_CLASS}
)

PASSING_STATES = ("08", "25P03", "40", "53", "55P03", "57", "58")
"""Classes and SQLSTATEs that, raised by the server itself, say that it can't work at the moment."""


def is_about_row(sqlstate: str) -> bool:
    """Whether an error with this SQLSTATE is a row's fault, whatever becomes of other rows.

    Of the other classes that PostgreSQL knows (a privilege, an internal error, a lock) only what
    becomes of other rows shows whose fault it is. A class that it doesn't know was made up by a
    trigger.
    """
    if sqlstate == _BAD_COPY_FORMAT:
        return False
    return sqlstate == _NAME_TOO_LONG or sqlstate[:2] not in _OTHER_CLASSES


def is_about_server(error: psycopg.Error, connection: psycopg.Connection[Any]) -> bool:
    """Whether the server or the connection failed, so that trying single rows shows nothing.

    A trigger can raise any SQLSTATE for a single row. What the server itself reports (a deadlock,
    a lock timeout, a cancelled statement, a full disk) comes from another source file.
    """
    state = error.sqlstate
    if state is None or connection.closed:
        return True
    if state == _OUT_OF_MEMORY or not state.startswith(_OF_SERVER_ITSELF):
        return False
    return not is_raised_by_function(error)


def is_out_of_memory(error: psycopg.Error) -> bool:
    """Whether the server lacks memory: in general, or for a single huge value."""
    return error.sqlstate == _OUT_OF_MEMORY and not is_raised_by_function(error)


_OUT_OF_MEMORY = "53200"

_OF_SERVER_ITSELF = ("40", "53", "55P03", "57014")


@dataclass(frozen=True)
class TargetError:
    """An error of the target about a row or a statement: its diagnostics without its text.

    ``constraint`` and ``column`` are what the server says; where a trigger raised the error
    that can be anything. ``existing`` marks a key that stood in the target before. ``raised`` is
    the exception where the error reached the client.
    """

    sqlstate: str
    constraint: str | None = None
    column: str | None = None
    existing: bool = False
    raised: psycopg.Error | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, error: psycopg.Error) -> TargetError:
        diag, state = error.diag, error.sqlstate or ""
        # A trigger that raises it names no table.
        if state == _CHECK_VIOLATION and diag.table_name and not diag.constraint_name:
            state = NO_PARTITION
        return cls(state, diag.constraint_name, diag.column_name, raised=error)

    @property
    def words(self) -> set[str]:
        """What the server gave as names, and an SQLSTATE that isn't one of PostgreSQL's."""
        words = {word for word in (self.constraint, self.column) if word}
        return words if self._is_own_state else words | {self.sqlstate}

    @property
    def stands_in(self) -> bool:
        """Whether the server itself has raised no error."""
        return self.sqlstate in _STAND_INS

    @property
    def _is_own_state(self) -> bool:
        return self.sqlstate in _CONDITIONS or self.sqlstate in _STAND_INS

    def limit_to(self, names: Set[str]) -> TargetError:
        """The error without what isn't among ``names``: a trigger can put values anywhere."""
        constraint = self.constraint if self.constraint in names else None
        column = self.column if self.column in names else None
        state = self.sqlstate
        if not self._is_own_state and state not in names:
            of_class = f"{state[:2]}000"
            state = of_class if of_class in _CONDITIONS else "P0001"
        return replace(self, sqlstate=state, constraint=constraint, column=column)

    def violation(self, columns_of: Mapping[str, tuple[str, ...]]) -> Violation:
        """The error in terms of the error catalogue.

        ``columns_of`` gives the columns of each constraint of the target; where it is only
        one, that is the field. The rule is the constraint's name, else ``COLUMN.REASON``
        or ``target.REASON``.
        """
        code, reason = self._classify()
        column = self.column or None
        if column is None and self.constraint:
            columns = columns_of.get(self.constraint, ())
            column = columns[0] if len(columns) == 1 else None
        rule = self.constraint or f"{column or 'target'}.{reason}"
        return Violation(code, rule, column, reason)

    def _classify(self) -> tuple[ErrorCode, str]:
        state = self.sqlstate
        condition = _CONDITIONS.get(state, f"sqlstate_{state.lower()}")
        if self.existing:
            return ErrorCode.DATA_004, "existing_key"
        if state in _CODES:
            return _CODES[state], condition
        if state[:2] in _VALUE_CLASSES or state == _NAME_TOO_LONG:
            return ErrorCode.DATA_003, condition
        if state[:2] == _CONSTRAINT_CLASS:
            return ErrorCode.TRANS_004, condition
        if state[:2] == _TRIGGER_CLASS:
            return ErrorCode.TRANS_004, "trigger"
        return ErrorCode.TRANS_004, _STAND_INS.get(state, state)
