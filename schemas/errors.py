"""The error catalogue: codes, categories and severities; problems and exit statuses.

The twenty CONN, DATA, TRANS and SYS codes with their severities are those of the
troubleshooting guide of the healthcare data migration system; the four USER codes fill
the guide's fifth category.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum


class Category(str, Enum):
    """The five error categories; each has a tagged output of its own."""

    CONNECTION = "connection"
    DATA = "data"
    TRANSFORMATION = "transformation"
    SYSTEM = "system"
    USER = "user"


class Severity(IntEnum):
    """Severity 1 (critical) to 4 (low), as the guide numbers them."""

    CRITICAL = 1
    HIGH = 2
    MEDIUM = 3
    LOW = 4

    @property
    def label(self) -> str:
        return self.name.capitalize()


class ErrorCode(str, Enum):
    """A code of the catalogue; its value is the code as written, such as ``DATA-001``."""

    CONN_001 = "CONN-001"
    CONN_002 = "CONN-002"
    CONN_003 = "CONN-003"
    CONN_004 = "CONN-004"
    CONN_005 = "CONN-005"
    DATA_001 = "DATA-001"
    DATA_002 = "DATA-002"
    DATA_003 = "DATA-003"
    DATA_004 = "DATA-004"
    DATA_005 = "DATA-005"
    TRANS_001 = "TRANS-001"
    TRANS_002 = "TRANS-002"
    TRANS_003 = "TRANS-003"
    TRANS_004 = "TRANS-004"
    TRANS_005 = "TRANS-005"
    SYS_001 = "SYS-001"
    SYS_002 = "SYS-002"
    SYS_003 = "SYS-003"
    SYS_004 = "SYS-004"
    SYS_005 = "SYS-005"
    USER_001 = "USER-001"
    USER_002 = "USER-002"
    USER_003 = "USER-003"
    USER_004 = "USER-004"

    @property
    def category(self) -> Category:
        return _CATEGORIES[self.value.partition("-")[0]]

    @property
    def description(self) -> str:
        return _CATALOGUE[self.value][0]

    @property
    def severity(self) -> Severity:
        return _CATALOGUE[self.value][1]

    @property
    def error_type(self) -> str:
        """The description in capitals; the guide itself shortens that of DATA-001."""
        if self is ErrorCode.DATA_001:
            return "VALIDATION_FAILURE"
        return re.sub(r"[^A-Z0-9]+", "_", self.description.upper())


_CATEGORIES = {
    "CONN": Category.CONNECTION,
    "DATA": Category.DATA,
    "TRANS": Category.TRANSFORMATION,
    "SYS": Category.SYSTEM,
    "USER": Category.USER,
}

_CATALOGUE: dict[str, tuple[str, Severity]] = {
    "CONN-001": ("Database Connection Timeout", Severity.HIGH),
    "CONN-002": ("Authentication Failure", Severity.HIGH),
    "CONN-003": ("SSL Certificate Error", Severity.MEDIUM),
    "CONN-004": ("Network Unreachable", Severity.HIGH),
    "CONN-005": ("Connection Pool Exhausted", Severity.MEDIUM),
    "DATA-001": ("Data Validation Failure", Severity.MEDIUM),
    "DATA-002": ("Referential Integrity Violation", Severity.HIGH),
    "DATA-003": ("Data Type Conversion Error", Severity.MEDIUM),
    "DATA-004": ("Duplicate Key Violation", Severity.MEDIUM),
    "DATA-005": ("Data Quality Issue", Severity.LOW),
    "TRANS-001": ("Field Mapping Failure", Severity.MEDIUM),
    "TRANS-002": ("Code System Mapping Error", Severity.MEDIUM),
    "TRANS-003": ("Business Rule Violation", Severity.MEDIUM),
    "TRANS-004": ("Schema Compatibility Issue", Severity.HIGH),
    "TRANS-005": ("Transformation Logic Error", Severity.MEDIUM),
    "SYS-001": ("Memory Exhaustion", Severity.CRITICAL),
    "SYS-002": ("Performance Degradation", Severity.MEDIUM),
    "SYS-003": ("Application Crash", Severity.CRITICAL),
    "SYS-004": ("Configuration Error", Severity.HIGH),
    "SYS-005": ("Resource Unavailable", Severity.HIGH),
    "USER-001": ("Invalid Input", Severity.MEDIUM),
    "USER-002": ("Permission Denied", Severity.HIGH),
    "USER-003": ("Workflow Violation", Severity.MEDIUM),
    "USER-004": ("Interface Error", Severity.LOW),
}


class ExitStatus(IntEnum):
    """The exit status of the process."""

    COMPLETE = 0
    CRASH = 1
    REFUSED = 2
    INCOMPLETE = 3
    STOPPED = 4
    OUT_OF_BALANCE = 5
    BLOCKED = 6


HIDDEN = "***"
"""The text that is printed and stored instead of a password."""

_CREDENTIALS = re.compile(r"(?<=://)[^\s:/@]*:[^\n]*@")


def hide_credentials(text: str) -> str:
    """Replaces user and password of each URL in a text."""
    return _CREDENTIALS.sub(f"{HIDDEN}@", text) if "://" in text else text


@dataclass(frozen=True)
class Problem:
    """An error shown to a person.

    None of the texts holds a patient's value. Credentials of a URL in ``message`` or ``where`` are
    replaced: a URL may stand in the place of a table's name.

    Attributes:
        code: The code of the catalogue.
        message: What happened.
        where: ``file:line path`` for a specification, ``table, partition, field`` for data, host
            and port for a connection.
        remedy: The fix: a command, a statement, or what to change.
    """

    code: ErrorCode
    message: str
    where: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        for name in ("message", "where"):
            object.__setattr__(self, name, hide_credentials(getattr(self, name)))

    def __str__(self) -> str:
        text = f"{self.code.value}"
        if self.where:
            text += f" {self.where}"
        text += f": {self.message}"
        if self.remedy:
            text += f" -> {self.remedy}"
        return text


class TransfuseError(Exception):
    """Ends a command with problems and an exit status, as opposed to a crash."""

    def __init__(
        self, problems: Problem | Sequence[Problem], status: ExitStatus = ExitStatus.REFUSED
    ) -> None:
        self.problems: tuple[Problem, ...] = (
            (problems,) if isinstance(problems, Problem) else tuple(problems)
        )
        self.status = status
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[type[TransfuseError], tuple[tuple[Problem, ...], ExitStatus]]:
        return type(self), (self.problems, self.status)
