"""Compiles where a field's value comes from: columns, an expression, a constant."""

from __future__ import annotations

from schemas.blanks import BLANKS_SQL
from schemas.column_types import DATE, TEXT, ColumnType
from schemas.conversions import ConversionProblem, convert
from schemas.conversions.bytes_text import missing_encoding
from schemas.errors import ErrorCode
from schemas.specification.policies import SystemValue
from schemas.specification.table import Field
from schemas.sql.expressions import ExpressionError, parse_expression, quote
from transforms.compiling.field_types import check_conversion
from transforms.compiling.known_columns import known_columns
from transforms.compiling.load_facts import FieldProblem, LoadFacts
from transforms.compiling.reference import identifying_types
from transforms.compiling.scope import Scope, UnboundExpression, UnknownName, result_type
from transforms.keys.key_text import reference_text
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_origins import (
    ComputedValue,
    ConstantText,
    FieldOrigin,
    SourceColumn,
    SourceKeyText,
)

_TIMESTAMP = ColumnType("timestamp", "timestamp")
_TIMESTAMPTZ = ColumnType("timestamptz", "timestamptz")


def compile_origin(
    facts: LoadFacts, scope: Scope, field: Field, target: ColumnType, by_source_key: bool
) -> FieldOrigin:
    """Compiles the first step of a field.

    Args:
        facts: the load.
        scope: the columns that expressions may read.
        field: the field's entry in the specification.
        target: the type that the value is to become.
        by_source_key: the columns of ``from`` are the source key of a parent.

    Raises:
        FieldProblem: TRANS-001 for a column that isn't there, TRANS-004 for a type that can't
            become ``target``, SYS-004 for an expression that can't be used.
    """
    if field.from_ is not None:
        if by_source_key and not facts.specification.looks_up(field):
            return _parent_key(facts, scope, field)
        columns = [source_column(facts, scope, name) for name in field.from_]
        return columns[0]
    if field.sql is not None:
        return _expression(scope, field.sql, target)
    if "const" in field.model_fields_set:
        return ConstantText(field.const)
    if field.system is SystemValue.SOURCE_KEY:
        return SourceKeyText()
    if field.system is SystemValue.STARTED_AT:
        return _job_start(scope.constants["started_at"], target)
    return ComputedValue(BoundExpression(scope.constants["job"]), TEXT)


def source_column(facts: LoadFacts, scope: Scope, name: str) -> SourceColumn:
    """The source column ``name``, which counts as read from now on.

    Raises:
        FieldProblem: TRANS-001 where there is none.
    """
    try:
        column, kind = scope.source_column(name)
    except UnknownName as error:
        remedy = known_columns(scope.source, facts.load)
        raise FieldProblem(ErrorCode.TRANS_001, str(error), "from", remedy=remedy) from None
    return SourceColumn(column.removeprefix("src."), kind)


def to_text_origin(origin: FieldOrigin) -> FieldOrigin:
    """Converts the value of an origin to text.

    Raises:
        FieldProblem: TRANS-004 where its type has no exact text.
    """
    if origin.type.is_textual:
        return origin
    return ComputedValue(to_text(origin.value, origin.type), TEXT)


def to_text(value: BoundExpression, kind: ColumnType) -> BoundExpression:
    """Converts an expression of the type ``kind`` to text.

    Raises:
        FieldProblem: TRANS-004 where the type has no exact text.
    """
    if kind.is_textual:
        return value
    if kind.is_computed:
        raise FieldProblem(
            ErrorCode.TRANS_004,
            "the expression computes a number without fixed digits, and text is needed here",
            "sql",
            remedy="write CAST(round(NUMBER, 2) AS DECIMAL(38,2)), with the decimals it is to have",
        )
    check_conversion(kind, TEXT)
    text = convert(value.sql, kind, TEXT).value
    return BoundExpression(text, value.inexact, value.fields, value.risky)


def _parent_key(facts: LoadFacts, scope: Scope, field: Field) -> FieldOrigin:
    """The text that identifies the parent's row, as the parent's load records it."""
    origins = [source_column(facts, scope, name) for name in field.from_ or ()]
    parents = identifying_types(facts, field)
    for origin, parent in zip(origins, parents, strict=True):
        if origin.type.is_bytes and not (parent is not None and parent.is_bytes):
            error = missing_encoding(origin.type, parent or TEXT)
            raise FieldProblem(ErrorCode.TRANS_004, str(error), "from", remedy=error.remedy)
    columns = [(origin.column, origin.type) for origin in origins]
    text = reference_text(columns, parents)
    if text == origins[0].value.sql:
        return SourceColumn(origins[0].name, TEXT)
    if len(columns) > 1:
        # As in a foreign key of SQL, a reference without one of its parts is none.
        absent = " OR ".join(_absence(facts, quote(name), kind) for name, kind in columns)
        text = f"CASE WHEN NOT ({absent}) THEN {text} END"
    return ComputedValue(BoundExpression(text), TEXT)


def _absence(facts: LoadFacts, value: str, kind: ColumnType) -> str:
    if kind.is_textual and facts.blank_is_missing:
        return f"coalesce(trim({value}, {BLANKS_SQL}), '') = ''"
    return f"{value} IS NULL"


def _job_start(moment: str, target: ColumnType) -> ComputedValue:
    """The start of the job; as local time in UTC where the target has no time zone."""
    utc = f"timezone('UTC', {moment})"
    if target.name == "timestamp":
        return ComputedValue(BoundExpression(utc), _TIMESTAMP)
    if target.name == "date":
        return ComputedValue(BoundExpression(f"CAST({utc} AS DATE)"), DATE)
    return ComputedValue(BoundExpression(moment), _TIMESTAMPTZ)


def _expression(scope: Scope, text: str, target: ColumnType) -> ComputedValue:
    column = _numeric_column(scope, text)
    if column is not None:
        return column
    try:
        bound, described = scope.bind(text, "src")
        kind, sql = result_type(described, bound.sql, bound.digits)
    except UnboundExpression as unbound:
        first, *others = [
            FieldProblem(code, problem, "sql", remedy=remedy)
            for code, problem, remedy in unbound.problems
        ]
        first.others = tuple(others)
        raise first from None
    except ConversionProblem as error:
        raise FieldProblem(ErrorCode.TRANS_004, str(error), "sql") from None
    if kind.is_computed and kind.name == "numeric":
        check_conversion(kind, target, below="sql")
    inexact = bound.inexact
    shows_digits = kind.name in ("numeric", "float4", "float8")
    shows_digits |= kind.is_integer or kind.is_textual
    if shows_digits and target.name not in ("float4", "float8"):
        inexact += bound.overlong
    return ComputedValue(BoundExpression(sql, inexact, bound.fields, risky=True), kind)


def _numeric_column(scope: Scope, text: str) -> ComputedValue | None:
    """A numeric column that an expression gives as it is: with all of its digits."""
    try:
        name = parse_expression(text).column
        column, kind = scope.resolve(name or (), "src")
    except (ExpressionError, IndexError):
        return None
    if kind.name != "numeric":
        return None
    fields = (column.removeprefix("out."),) if column.startswith("out.") else ()
    return ComputedValue(BoundExpression(quote(column), (), fields, risky=True), kind)
