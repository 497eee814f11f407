"""The violations of a field's values: each kind of failure has its code and rule."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from schemas.conversions import REASONS
from schemas.errors import ErrorCode
from schemas.specification.policies import UnmappedAction
from schemas.violations import ORDINAL, Violation, violations_of
from transforms.mapping.field_steps import MISSING, UNMAPPED
from transforms.model.field_program import FieldProgram
from transforms.sql.python_functions import RAISED

_UNKNOWN_VALUE = "unknown_value"

_NULLED = (*REASONS, RAISED)
"""Failures after which ``on_error: set_null`` writes NULL."""


def violations_of_failures(
    field: FieldProgram, ordinals: pa.Array, failures: pa.Array
) -> Iterator[pa.RecordBatch]:
    """The violations of a field's failures.

    Args:
        field: the field.
        ordinals: the candidate of each row (int32).
        failures: the failure of each row (string), NULL for none.

    Yields:
        For each kind of failure its violations (VIOLATION_SCHEMA).
    """
    if failures.null_count == len(failures):
        return
    for failure in pc.unique(failures).to_pylist():
        violation = None if failure is None else violation_of_failure(field, failure)
        if violation is not None:
            yield violations_of(ordinals.filter(pc.equal(failures, failure)), violation)


def violation_of_failure(field: FieldProgram, failure: str) -> Violation | None:
    """The code and rule of a failure; None where another field's violation stands for it."""
    name = field.name
    if failure == RAISED:
        return Violation(ErrorCode.TRANS_005, f"{name}.sql", name, RAISED, field.nulls_errors)
    if failure == UNMAPPED:
        return Violation(ErrorCode.TRANS_002, f"{name}.map", name, _UNKNOWN_VALUE)
    if failure == MISSING:
        return Violation(ErrorCode.DATA_001, field.required_rule, name, MISSING)
    if failure in REASONS:
        return Violation(ErrorCode.DATA_003, f"{name}.type", name, failure, field.nulls_errors)
    return None


def unmapped_warnings(
    field: FieldProgram, ordinals: pa.Array, unmapped: pa.Array
) -> pa.RecordBatch | None:
    """TRANS-002 for values that a map lacks and that are NULL therefore; None for other policies.

    Args:
        field: a field with a map.
        ordinals: the candidate of each row (int32).
        unmapped: whether the map lacks the value of each row (bool).
    """
    values = field.value_map
    if values is None or values.unmapped.action is not UnmappedAction.SET_NULL:
        return None
    name = field.name
    violation = Violation(ErrorCode.TRANS_002, f"{name}.map", name, _UNKNOWN_VALUE, warning=True)
    return violations_of(ordinals.filter(unmapped), violation)


def missing_violations(rows: pa.RecordBatch, rule: str, column: str) -> pa.RecordBatch:
    """DATA-001 for the rows in which a required column is NULL though it hasn't failed.

    Args:
        rows: candidates, with ``out.COLUMN`` and ``bad.COLUMN``.
        rule: the name of the violated rule.
        column: the target column.
    """
    missing = pc.and_not(pc.is_null(rows.column(f"out.{column}")), rows.column(f"bad.{column}"))
    violation = Violation(ErrorCode.DATA_001, rule, column, MISSING)
    return violations_of(rows.column(ORDINAL).filter(missing), violation)


def failed_rows(field: FieldProgram, failures: pa.Array) -> pa.Array:
    """For which rows (bool) a field has no value that anything else could be judged by."""
    if failures.null_count == len(failures):
        return pa.repeat(False, len(failures))
    harmless = pa.array([MISSING, *(_NULLED if field.nulls_errors else ())], pa.string())
    return pc.and_(pc.is_valid(failures), pc.invert(pc.is_in(failures, harmless)))


def nulled_rows(failures: pa.Array) -> pa.Array:
    """For which rows (bool) ``on_error: set_null`` writes NULL after a failure."""
    return pc.is_in(failures, pa.array(_NULLED))
