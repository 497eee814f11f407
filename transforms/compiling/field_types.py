"""Whether types, and values of the specification, fit the column of a field: TRANS-004."""

from __future__ import annotations

from dataclasses import replace

from schemas.column_types import TEXT, ColumnType, parse_type
from schemas.conversions import AS_WRITTEN, ConversionProblem, Reading, convert
from schemas.errors import ErrorCode
from schemas.specification.table import Field
from schemas.sql.expressions import literal
from transforms.compiling.load_facts import FieldProblem
from transforms.model.field_maps import TableLookup
from transforms.model.field_program import FieldProgram
from transforms.sql.duckdb_engine import RaisedOnRow, evaluate_scalar


def check_conversion(
    kind: ColumnType, target: ColumnType, reading: Reading = AS_WRITTEN, below: str | None = None
) -> None:
    """Refuse types between which there is no conversion (FieldProblem)."""
    try:
        convert("v", kind, target, reading)
    except ConversionProblem as error:
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


def compile_default(field: Field, target: ColumnType, reading: Reading) -> str | None:
    """Compiles the default of a field to SQL; None where it has none.

    Raises:
        FieldProblem: TRANS-004 where it is no value of the type.
    """
    if field.default is None:
        return None
    # A default comes after the type, so it needn't be written in the source's formats.
    for one in dict.fromkeys((AS_WRITTEN, reading)):
        if why_unfit(field.default, target, None, one) is None:
            return convert(literal(field.default), TEXT, target, one).value
    raise FieldProblem(
        ErrorCode.TRANS_004,
        f"the default doesn't fit {target}",
        "default",
        remedy="give a default of the target's type",
    )


def check_types(field: Field, program: FieldProgram) -> None:
    """Compare a field's types, and its values in the specification, with the target's type.

    Raises:
        FieldProblem: TRANS-004.
    """
    mapped = TEXT if program.map is not None else program.transformed_type
    declared = program.declared
    if not program.is_raw:
        check_conversion(mapped, declared or program.target, program.reading)
    elif declared is not None and program.translation is None:
        check_conversion(mapped, declared, program.reading)
    if not program.is_raw and declared is not None:
        if not same_family(declared, program.target):
            raise FieldProblem(
                ErrorCode.TRANS_004,
                f"the type is {declared}, the target's column is {program.target}",
                "type",
                remedy=f"write type: {program.target}" + _and_zone(declared, program.target),
            )
        check_conversion(declared, program.target)
    if field.const is not None:
        _check_text(field.const, program, "const", "the constant")
    values = program.value_map
    if values is None:
        return
    for key, text in () if isinstance(values, TableLookup) else values.pairs:
        if text is not None:
            _check_text(text, program, "map", f"the value that the map has for '{key}'")
    if values.unmapped.default is not None:
        _check_text(values.unmapped.default, program, "map", "the map's default")


def _check_text(text: str, program: FieldProgram, below: str, what: str) -> None:
    if program.is_raw:
        return
    if why_unfit(text, program.target, program.declared, program.reading) is not None:
        raise FieldProblem(
            ErrorCode.TRANS_004,
            f"{what} doesn't fit {program.target}",
            below,
            remedy="correct it",
        )


def _and_zone(declared: ColumnType, target: ColumnType) -> str:
    """A zone for the remedy, where the type alone would lead to the next error."""
    if "timestamptz" not in (declared.name, target.name):
        return ""
    return ", and beside it 'zone: Europe/Berlin' (the zone of the local times)"


def same_family(declared: ColumnType, target: ColumnType) -> bool:
    """Whether a value that was declared to be of one type may stand in a column of the other."""
    if declared.name == target.name or declared.sql == target.sql:
        return True
    integers = declared.is_integer and (target.is_integer or target.name == "numeric")
    numbers = declared.name == "numeric" and target.name in ("float4", "float8")
    times = (declared.name, target.name) == ("date", "timestamp")
    return integers or numbers or times or target.is_textual
