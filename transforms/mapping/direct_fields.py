"""Fields that are a source column as it is, for which no query is needed."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from schemas.blanks import without_blanks
from schemas.conversions import AS_WRITTEN, convert
from schemas.errors import ErrorCode
from schemas.violations import ORDINAL, Violation, no_violations, violations_of
from transforms.mapping.field_steps import MISSING
from transforms.model.field_origins import SourceColumn
from transforms.model.field_program import FieldProgram
from transforms.sql.lost_values import UNKNOWN, any_of, lost_columns


def direct_column(field: FieldProgram) -> SourceColumn | None:
    """The source column whose values a field takes unchanged; None where they are computed."""
    if (
        not isinstance(field.origin, SourceColumn)
        or field.is_raw
        or field.transforms
        or field.reading != AS_WRITTEN
        or field.declared is not None
        or field.map is not None
        or field.default is not None
    ):
        return None
    kind = field.origin.type
    conversion = convert("v", kind, field.target)
    same_arrow = kind.arrow == field.target.arrow
    unchanged = same_arrow and conversion.reason is None and conversion.value == "v"
    return field.origin if unchanged else None


def copy_column(
    rows: pa.RecordBatch, field: FieldProgram, column: SourceColumn
) -> tuple[dict[str, pa.Array], pa.RecordBatch]:
    """Copies a source column to a field, blank text as NULL where that counts as missing.

    Args:
        rows: candidates, with the column.
        field: the field.
        column: what ``direct_column`` gives for the field.

    Returns:
        The columns ``out.NAME`` and ``bad.NAME``; and DATA-001 for required values that are
        missing (VIOLATION_SCHEMA).
    """
    values = rows.column(column.column)
    if column.type.is_textual and field.blank_is_missing:
        values = without_blanks(values)
    lost = any_of(rows, lost_columns(rows.schema.names, [column.value], UNKNOWN))
    violations = no_violations()
    if field.required and values.null_count:
        missing = pc.and_not(pc.is_null(values), lost)
        violation = Violation(ErrorCode.DATA_001, field.required_rule, field.name, MISSING)
        violations = violations_of(rows.column(ORDINAL).filter(missing), violation)
    return {f"out.{field.name}": values, f"bad.{field.name}": lost}, violations
