"""Whether types, and values of the specification, fit the column of a field: TRANS-004."""

from __future__ import annotations

from dataclasses import replace

from schemas.column_types import TEXT, ColumnType, parse_type
from schemas.conversions import AS_WRITTEN, Reading, Unconvertible, convert
from schemas.errors import ErrorCode
from schemas.specification.table import Field
from schemas.sql.expressions import literal
from transforms.compiling.load_facts import FieldProblem
from transforms.sql.duckdb_engine import RaisedOnRow, evaluate_scalar


def check_conversion(
    given: ColumnType, target: ColumnType, reading: Reading = AS_WRITTEN, below: str | None = None
) -> None:
    """Refuse types between which there is no conversion (FieldProblem)."""
    try:
        convert("v", given, target, reading)
    except Unconvertible as error:
        place = () if below is None else (below,)
        raise FieldProblem(ErrorCode.TRANS_004, str(error), *place, remedy=error.remedy) from None


def declared_type(field: Field, target: ColumnType) -> ColumnType | None:
    """The type that the field names, unless it is the target's."""
    declared = None if field.type is None else parse_type(field.type)
    if declared is None or declared.sql == target.sql:
        return None
    same = replace(declared, sql=target.sql) == target
    return None if same else declared


def why_unfit(
    text: str, target: ColumnType, declared: ColumnType | None, reading: Reading
) -> object:
    """The reason why text of the specification isn't a value of the type; None where it is."""
    first = convert(literal(text), TEXT, declared or target, reading)
    reasons = [first.reason]
    if declared is not None:
        reasons.append(convert(first.value, declared, target).reason)
    try:
        return next((r for sql in reasons if sql and (r := evaluate_scalar(sql)) is not None), None)
    except RaisedOnRow:
        return "raised"


def same_family(declared: ColumnType, target: ColumnType) -> bool:
    """Whether a value that was declared to be of one type may stand in a column of the other."""
    if declared.name == target.name or declared.sql == target.sql:
        return True
    integers = declared.is_integer and (target.is_integer or target.name == "numeric")
    numbers = declared.name == "numeric" and target.name in ("float4", "float8")
    times = (declared.name, target.name) == ("date", "timestamp")
    return integers or numbers or times or target.is_textual
