"""What it means when the server refuses a row: SQLSTATE and constraint to code, rule, reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

import psycopg

from schemas.errors import ErrorCode
from schemas.violations import Finding

_CODES = {
    "23502": ErrorCode.DATA_001,
    "23503": ErrorCode.DATA_002,
    "23505": ErrorCode.DATA_004,
    "23P01": ErrorCode.DATA_004,
}
_VALUE_CLASSES = frozenset({"22", "54"})
_RULE_CLASSES = frozenset({"21", "23", "44"})
_TRIGGER_CLASSES = frozenset({"09", "27", "38", "P0"})
_NAME_TOO_LONG = "42622"

_CONDITIONS: dict[str, str] = {
    error.sqlstate: re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()
    for error in vars(psycopg.errors).values()
    if isinstance(error, type) and issubclass(error, psycopg.Error) and error.sqlstate
}

RETRIED_CLASSES = sorted(
    {state[:2] for state in _CONDITIONS} - _VALUE_CLASSES - _RULE_CLASSES - _TRIGGER_CLASSES
)
"""The classes of PostgreSQL's own SQLSTATEs that say nothing about a row: a connection, a
lock, a privilege, a statement that is wrong for every row. A class that PostgreSQL doesn't
know was made up by a trigger.

Beside 22, 23 and P0 these classes depend on the row: 21 and 27 (a trigger's own statement),
44 (a view's check option), 54 (a value too large for an index, JSON nested too deeply), 09
and 38 (functions in other languages).
"""

REFUSED_STATES = [_NAME_TOO_LONG]
"""SQLSTATEs of a retried class that do depend on the row."""


_BAD_COPY_FORMAT = "22P04"
"""Says that a COPY stream is broken, which no value can do to it."""


def is_refusal(sqlstate: str | None) -> bool:
    """Whether an error with this SQLSTATE (None: no answer from the server) is about a row."""
    if sqlstate is None or sqlstate == _BAD_COPY_FORMAT:
        return False
    return sqlstate in REFUSED_STATES or sqlstate[:2] not in RETRIED_CLASSES


@dataclass(frozen=True)
class Refusal:
    """The server's reason for a row or a statement: its diagnostics without its text.

    ``constraint`` and ``column`` are what the server says; where a trigger raised the error
    that can be anything. ``existing`` marks a key that stood in the target before.
    """

    sqlstate: str
    constraint: str | None = None
    column: str | None = None
    existing: bool = False

    @classmethod
    def of(cls, error: psycopg.Error) -> Refusal:
        return cls(error.sqlstate or "", error.diag.constraint_name, error.diag.column_name)

    @property
    def words(self) -> set[str]:
        """What the server gave as names."""
        return {word for word in (self.constraint, self.column) if word}

    def limited_to(self, names: Set[str]) -> Refusal:
        """The refusal without what isn't among ``names``."""
        constraint = self.constraint if self.constraint in names else None
        column = self.column if self.column in names else None
        return replace(self, constraint=constraint, column=column)

    def finding(self, columns_of: Mapping[str, tuple[str, ...]]) -> Finding:
        """The refusal in terms of the error catalogue.

        ``columns_of`` gives the columns of each constraint of the target; where it is only
        one, that is the field. The rule is the constraint's name, else ``COLUMN.REASON``
        or ``target.REASON``.
        """
        code, reason = self._classified()
        field = self.column or None
        if field is None and self.constraint:
            columns = columns_of.get(self.constraint, ())
            field = columns[0] if len(columns) == 1 else None
        return Finding(code, self.constraint or f"{field or 'target'}.{reason}", field, reason)

    def _classified(self) -> tuple[ErrorCode, str]:
        state = self.sqlstate
        condition = _CONDITIONS.get(state, f"sqlstate_{state.lower()}")
        if self.existing:
            return ErrorCode.DATA_004, "existing_key"
        if state in _CODES:
            return _CODES[state], condition
        if state[:2] in _VALUE_CLASSES or state == _NAME_TOO_LONG:
            return ErrorCode.DATA_003, condition
        if state[:2] in _RULE_CLASSES:
            return ErrorCode.TRANS_004, condition
        return ErrorCode.TRANS_004, "trigger"
