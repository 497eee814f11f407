"""Compiles one field: its origin, its map, and how the value becomes the target's type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from schemas.column_types import TEXT, ColumnType
from schemas.errors import ErrorCode
from schemas.specification.field_reading import reading_of
from schemas.specification.policies import OnError
from schemas.specification.table import Field
from schemas.sql.transformations import TRANSFORMATIONS, is_python_function
from transforms.compiling.field_map import check_key, compile_map
from transforms.compiling.field_origin import compile_origin, source_column, to_text_origin
from transforms.compiling.field_types import (
    check_conversion,
    check_types,
    compile_default,
    declared_type,
)
from transforms.compiling.load_facts import FieldProblem, LoadFacts
from transforms.compiling.reference import reference_of
from transforms.compiling.scope import Scope
from transforms.model.field_origins import FieldOrigin
from transforms.model.field_program import FieldProgram, FieldStage
from transforms.sql.duckdb_engine import evaluate_scalar


def compile_copy(facts: LoadFacts, scope: Scope, name: str) -> FieldProgram:
    """Compiles a field of ``copy``: the source column of that name in the target's type.

    Raises:
        FieldProblem: TRANS-001 where the source has no such column, TRANS-004 where it can't be
            converted.
    """
    column = facts.table.column(name)
    assert column is not None
    origin = source_column(facts, scope, name)
    check_conversion(origin.type, column.type)
    return FieldProgram(
        name=name,
        stage=FieldStage.MAP,
        origin=origin,
        target=column.type,
        blank_is_missing=facts.blank_is_missing,
        required=not column.nullable,
        required_rule=f"{name}.required",
    )


def compile_field(
    facts: LoadFacts, scope: Scope, name: str, field: Field, types: Mapping[str, ColumnType]
) -> FieldProgram:
    """Compiles a field of ``fields`` that isn't generated.

    Args:
        facts: the load.
        scope: the columns that its expressions may read.
        name: the field, a column of the target.
        field: its entry in the specification.
        types: the types of all target fields.

    Returns:
        The field, in the first stage: the other fields decide about its own.

    Raises:
        FieldProblem: TRANS-001 for a name that isn't there, TRANS-004 for a type or value that
            doesn't fit, SYS-004 for an expression that can't be used.
    """
    column = facts.table.column(name)
    assert column is not None
    reference = reference_of(facts, field)
    by_source_key = reference is not None and reference.by_source_key
    target = TEXT if by_source_key else column.type
    check_key(facts, field)
    # A step that changes nothing doesn't turn a number or a date into text either.
    transforms = [step for step in field.transform if step != "direct"]
    origin = compile_origin(facts, scope, field, target, by_source_key)
    origin = _transformable(facts, field, origin, transforms)
    required = field.required or not column.nullable
    _refuse_nulls(field, required)
    reading = reading_of(field, _job_start(scope) if field.century == "past" else None)
    program = FieldProgram(
        name=name,
        stage=FieldStage.MAP,
        origin=origin,
        target=column.type,
        transforms=tuple(TRANSFORMATIONS.get(step, step) for step in transforms),
        blank_is_missing=facts.blank_is_missing,
        map=compile_map(facts, scope, field, types),
        declared=declared_type(field, target),
        reading=reading,
        nulls_errors=field.on_error is OnError.SET_NULL,
        default=compile_default(field, target, reading),
        required=required,
        required_rule=field.rule or f"{name}.required",
        reference=reference,
    )
    check_types(field, program)
    return program


def _refuse_nulls(field: Field, required: bool) -> None:
    if field.on_error is OnError.SET_NULL and required:
        raise FieldProblem(
            ErrorCode.TRANS_004,
            "'on_error: set_null' writes NULL, which the target's column forbids",
            "on_error",
            remedy="remove 'on_error', or let the column be NULL",
        )


def _transformable(
    facts: LoadFacts, field: Field, origin: FieldOrigin, transforms: Sequence[str]
) -> FieldOrigin:
    """The origin, as text where SQL transforms it or a map replaces it."""
    if transforms:
        return origin if is_python_function(transforms[0]) else to_text_origin(origin)
    is_mapped = field.map is not None and field.map in facts.specification.maps
    return to_text_origin(origin) if is_mapped else origin


def _job_start(scope: Scope) -> datetime:
    moment = evaluate_scalar(scope.constants["started_at"])
    assert isinstance(moment, datetime)
    return moment
