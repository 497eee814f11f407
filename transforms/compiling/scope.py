"""Which column each name of an expression means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.catalog import Relation
from schemas.column_types import BIGINT, BOOLEAN, TEXT, TIMESTAMPTZ, ColumnType
from schemas.conversions import ConversionProblem
from schemas.errors import ErrorCode
from schemas.sql.callable_functions import is_clock_name
from schemas.sql.cut_casts import find_cut_casts
from schemas.sql.expressions import (
    FIX,
    ExpressionError,
    Name,
    describe_expressions,
    parse_expression,
    query_of,
    quote,
)
from schemas.sql.number_precision import Digits, judge_numbers
from schemas.sql.serialized_plan import serialized_plan
from transforms.compiling.read_columns import ReadColumns
from transforms.model.bound_expression import BoundExpression

SYSTEM = {"started_at": TIMESTAMPTZ, "job": TEXT}
"""The system names: the start of the job, and its name."""

LISTED = "listed"
"""Before the name of a membership; users' expressions have none."""


class UnknownName(ExpressionError):
    """An expression reads something that isn't there."""


class UnfixedDigits(ExpressionError):
    """An expression makes text of a number whose digits nobody has fixed."""

    def __init__(self, digits: Digits) -> None:
        number = "of a number whose decimals aren't fixed"
        if digits is Digits.BINARY:
            number = "of a binary number (/ gives one), of which it would show the rounding errors"
        super().__init__(f"this makes text {number}")


class UnboundExpression(Exception):
    """An expression that can't be bound; ``errors`` are all reasons, at least one."""

    def __init__(self, errors: Sequence[ExpressionError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(map(str, errors)))

    @property
    def problems(self) -> list[tuple[ErrorCode, str, str]]:
        """Code, text and remedy of each reason."""
        return [_problem_of(error) for error in self.errors]


def _problem_of(error: ExpressionError) -> tuple[ErrorCode, str, str]:
    if isinstance(error, UnknownName):
        return ErrorCode.TRANS_001, str(error), FIX
    if isinstance(error, UnfixedDigits):
        return ErrorCode.TRANS_004, str(error), _FIX_DIGITS
    return ErrorCode.SYS_004, str(error), FIX


_FIX_DIGITS = (
    "write CAST(round(NUMBER, 2) AS DECIMAL(38,2)) for the number, with the decimals it is to have"
)


@dataclass
class Scope:
    """The columns that an expression may read.

    ``source`` is the source relation; ``fields`` the types of the target fields, ``taken``
    those of a parent's columns by alias; ``constants`` the system names' values as SQL.
    ``read`` collects the source columns that are used. ``memberships`` are the columns that
    say whether a code is in a list, which ready rules read under the name ``listed``.
    """

    source: Relation
    fields: Mapping[str, ColumnType]
    taken: Mapping[str, ColumnType]
    constants: Mapping[str, str]
    read: dict[str, None]
    memberships: frozenset[str] = frozenset()

    def bind(self, text: str, default: str) -> tuple[BoundExpression, str]:
        """Binds an expression to columns.

        Args:
            text: the expression as written.
            default: the scope of its bare names: ``src`` or ``out``.

        Returns:
            The bound expression, and its DuckDB type.

        Raises:
            UnboundExpression: for all names that don't exist, and everything that it uses though
                it may not.
        """
        bound, read = self._bind_names(text, default)
        described = describe_expressions({"": bound}, read.types)[""]
        if isinstance(described, ExpressionError):
            raise UnboundExpression([described])
        return _inspect(bound, read), described

    def _bind_names(self, text: str, default: str) -> tuple[str, ReadColumns]:
        """The SQL of an expression with columns for names, and the columns that it reads."""
        try:
            expression = parse_expression(text)
        except ExpressionError as error:
            raise UnboundExpression([error]) from None
        errors = [ExpressionError(problem) for problem in expression.problems]
        read = ReadColumns()

        def column_of(name: Name) -> str:
            if len(name) == 1 and is_clock_name(name[0]):
                return name[0]
            try:
                return read.read_visible(*self.resolve(name, default))
            except UnknownName as error:
                errors.append(error)
                return name[-1]

        def column_as_written(name: Name, decimals: int | None) -> str | None:
            try:
                return read.read_written(*self.resolve(name, default), decimals)
            except UnknownName:
                return None

        try:
            bound = self._with_constants(expression.bind(column_of, column_as_written))
        except ExpressionError as error:
            errors.append(error)
        if errors:
            raise UnboundExpression(errors)
        return bound, read

    def source_column(self, name: str) -> tuple[str, ColumnType]:
        """The batch column of a source column; raises UnknownName."""
        column = self.source.column(name)
        if column is None:
            raise UnknownName(f"{self.source} has no column '{name}'")
        self.read[column.name] = None
        return f"src.{column.name}", column.type

    def resolve(self, name: Name, default: str) -> tuple[str, ColumnType]:
        """The batch column and type of a name as written; raises UnknownName."""
        if name[0] == LISTED and name[-1] in self.memberships:
            return name[-1], BOOLEAN
        scope, bare = (default, name[0]) if len(name) == 1 else (name[0].lower(), name[1])
        if len(name) > 2 or scope not in ("src", "out"):
            written = ".".join(name)
            raise UnknownName(f"'{written}' is no name here; use src.COLUMN or out.FIELD")
        if scope == "src":
            if len(name) == 1 and self.source.column(bare) is None and bare in SYSTEM:
                return f"sys.{bare}", SYSTEM[bare]
            return self.source_column(bare)
        for prefix, types in (("out", self.fields), ("take", self.taken)):
            alike = [field for field in types if field.lower() == bare.lower()]
            if alike:
                field = bare if bare in alike else alike[0]
                return f"{prefix}.{field}", types[field]
        if len(name) == 1 and bare in SYSTEM:
            return f"sys.{bare}", SYSTEM[bare]
        raise UnknownName(f"there is no field '{bare}'")

    def _with_constants(self, bound: str) -> str:
        for name, value in self.constants.items():
            bound = bound.replace(quote(f"sys.{name}"), value)
        return bound


def _inspect(bound: str, read: ReadColumns) -> BoundExpression:
    """Adds to bound SQL the conditions under which it would lose digits or parts of texts.

    Raises:
        UnboundExpression: it makes text of a number whose digits aren't fixed.
    """
    query, renamed = query_of(bound, read.types)
    plan = serialized_plan(query)
    use = judge_numbers(plan, frozenset(renamed.get(name, name) for name in read.loose))
    if use.in_text > Digits.ROUNDED:
        raise UnboundExpression([UnfixedDigits(use.in_text)])
    names = {new: name for name, new in renamed.items()}
    cuts = [(names.get(c, c), kind) for c, kind in find_cut_casts(plan)]
    parsed, divided = ([names.get(c, c) for c in columns] for columns in (use.parsed, use.divided))
    return BoundExpression(
        bound,
        (*read.inexact, *read.parse_conditions(parsed), *read.cut_conditions(cuts)),
        read.fields,
        risky=True,
        digits=use.result,
        overlong=read.overlong_conditions(divided),
    )


def parts_of(name: str) -> Name:
    """A name as expressions have it: ``src.icd9`` in two parts."""
    scope, dot, bare = name.partition(".")
    return (scope, bare) if dot and scope.lower() in ("src", "out") else (name,)


def result_type(
    described: str, value: str, digits: Digits = Digits.FIXED
) -> tuple[ColumnType, str]:
    """The column type of an expression's result, and SQL that gives it as it travels.

    ``digits`` are those of a number.

    Raises ConversionProblem for results that no column can hold (structs, some lists).
    """
    if described.startswith("DECIMAL("):
        if digits is Digits.LOOSE:
            text = f"CAST({value} AS VARCHAR)"
            plain = rf"regexp_replace({text}, '\.?0*$', '')"
            kind = ColumnType("numeric", "numeric", is_computed=True)
            return kind, f"CASE WHEN contains({text}, '.') THEN {plain} ELSE {text} END"
        precision, scale = described[8:-1].split(",")
        kind = ColumnType("numeric", described.lower(), None, int(precision), int(scale))
        return kind, f"CAST({value} AS VARCHAR)"
    element = _RESULTS.get(described.removesuffix("[]"))
    if described.endswith("[]") and element is not None and element[0] in _LISTED:
        scalars = ColumnType(element[0], element[0])
        kind = ColumnType("json", described.lower(), scalars=scalars, is_list=True)
        return kind, f"CAST(to_json({value}) AS VARCHAR)"
    simple = _RESULTS.get(described)
    if simple is None:
        raise ConversionProblem(f"the expression gives {described}, which no column can hold")
    name, template = simple
    computed = name in ("float4", "float8") and digits is not Digits.FIXED
    kind = ColumnType(name, described.lower(), is_computed=computed)
    return kind, template.replace("{}", value)


_LISTED = frozenset({"text", "bool", "int2", "int4", "int8", "date", "timestamp", "timestamptz"})
"""Types whose values JSON holds as they are."""

_RESULTS = {
    "VARCHAR": ("text", "{}"),
    "JSON": ("json", "CAST({} AS VARCHAR)"),
    "BOOLEAN": ("bool", "{}"),
    "TINYINT": ("int2", "CAST({} AS SMALLINT)"),
    "UTINYINT": ("int2", "CAST({} AS SMALLINT)"),
    "SMALLINT": ("int2", "{}"),
    "USMALLINT": ("int4", "CAST({} AS INTEGER)"),
    "INTEGER": ("int4", "{}"),
    "UINTEGER": ("int8", "CAST({} AS BIGINT)"),
    "BIGINT": (BIGINT.name, "{}"),
    "UBIGINT": ("numeric", "CAST({} AS VARCHAR)"),
    "HUGEINT": ("numeric", "CAST({} AS VARCHAR)"),
    "FLOAT": ("float4", "{}"),
    "DOUBLE": ("float8", "{}"),
    "DATE": ("date", "{}"),
    "TIME": ("time", "CAST({} AS VARCHAR)"),
    "TIMESTAMP": ("timestamp", "{}"),
    "TIMESTAMP WITH TIME ZONE": ("timestamptz", "{}"),
    "UUID": ("uuid", "CAST({} AS VARCHAR)"),
    "INTERVAL": ("interval", "CAST({} AS VARCHAR)"),
    "BLOB": ("bytea", "'\\x' || lower(hex({}))"),
    '"NULL"': ("text", "CAST({} AS VARCHAR)"),
}
