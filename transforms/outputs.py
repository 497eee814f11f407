"""The tagged outputs of the pipeline: one for each error category, with its type."""

from __future__ import annotations

from dataclasses import dataclass

import adbc_driver_manager
import psycopg
import pyarrow as pa

from schemas.errors import Category, ErrorCode
from transforms.connections import connection_problem
from transforms.partitions.partition import Partition

ROWS = "rows"
"""The main output of a step that passes batches on."""

COMMITTED = "committed"
"""The main output: what became of each partition."""

ROW_CATEGORIES = (Category.DATA, Category.TRANSFORMATION)
"""Categories whose output carries violations of rows (``schemas.violations``)."""

PARTITION_CATEGORIES = (Category.CONNECTION, Category.SYSTEM, Category.USER)
"""Categories whose output carries partitions that failed as a whole."""


@dataclass(frozen=True)
class FailedPartition:
    """A partition that couldn't be read or committed, and why."""

    partition: Partition
    code: ErrorCode
    message: str


@dataclass(frozen=True)
class CommittedViolations:
    """The violations of one category that were committed with a partition."""

    partition: Partition
    category: Category
    violations: pa.RecordBatch


def diagnosis_of(error: Exception, url: str) -> tuple[ErrorCode, str]:
    """The code of what went wrong, and a message.

    That names the kind of error and its SQLSTATE: the text of a database's error may hold
    a row.
    """
    state = _state_of(error)
    code = _code_of(error, state, url)
    told = f"{code.description.lower()} ({type(error).__name__}"
    told += f", SQLSTATE {state})" if state else ")"
    return code, told


def _state_of(error: Exception) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _code_of(error: Exception, state: str, url: str) -> ErrorCode:
    for prefix, code in _BY_STATE.items():
        if state.startswith(prefix):
            return code
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return connection_problem(error, url).code
    if isinstance(error, adbc_driver_manager.OperationalError) and not state:
        return connection_problem(psycopg.OperationalError(str(error)), url).code
    if isinstance(error, MemoryError | pa.ArrowMemoryError):
        return ErrorCode.SYS_001
    if state:
        return ErrorCode.SYS_005
    return ErrorCode.SYS_003


_BY_STATE = {
    "08": ErrorCode.CONN_004,
    "28": ErrorCode.CONN_002,
    "42501": ErrorCode.USER_002,
    "53200": ErrorCode.SYS_001,
    "53300": ErrorCode.CONN_005,
    "53": ErrorCode.SYS_005,
    "57014": ErrorCode.CONN_001,
    "57": ErrorCode.CONN_004,
    "58": ErrorCode.SYS_005,
}
"""SQLSTATE classes and conditions, the longer before the shorter."""

RETRIED_STATES = ("08", "40", "53", "55P03", "57")
"""SQLSTATE classes of conditions that can pass: connection lost, serialization failure and
deadlock, resources exhausted, lock not available, operator intervention."""


def may_pass(error: BaseException) -> bool:
    """Whether the same conversation could go well a moment later."""
    state = str(getattr(error, "sqlstate", None) or "")
    if state:
        return state.startswith(RETRIED_STATES)
    return isinstance(
        error,
        psycopg.OperationalError | psycopg.InterfaceError | adbc_driver_manager.OperationalError,
    )
