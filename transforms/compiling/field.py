"""Compiles one field: where its value comes from, and how it becomes the target's type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from schemas.blanks import BLANKS, BLANKS_SQL
from schemas.catalog import Column
from schemas.column_types import TEXT, ColumnType
from schemas.conversions import AS_WRITTEN, Reading, Unconvertible, convert
from schemas.conversions.bytes_text import unnamed_encoding
from schemas.errors import ErrorCode
from schemas.specification.field_reading import reading_of
from schemas.specification.table import Field
from schemas.sql.expressions import ExpressionError, literal, parse_expression, quote
from schemas.sql.transformations import TRANSFORMATIONS, is_python_function
from transforms.compiling.coding import coded_in, coded_on
from transforms.compiling.field_types import (
    check_conversion,
    declared_type,
    same_family,
    why_unfit,
)
from transforms.compiling.known_columns import known_columns
from transforms.compiling.load_facts import FieldProblem, LoadFacts
from transforms.compiling.reference import identifying_types, reference_of
from transforms.compiling.scope import Scope, UnboundExpression, UnknownName, result_type
from transforms.keys.key_text import reference_text
from transforms.model.bound_expression import BoundExpression
from transforms.model.program import FieldProgram, FieldStage, ValueMap
from transforms.sql.duckdb_engine import evaluate_scalar


@dataclass(frozen=True)
class FieldCompiler:
    """Compiles the fields of one load within a scope; raises FieldProblem."""

    facts: LoadFacts
    scope: Scope

    def copied(self, name: str, column: Column | None) -> FieldProgram:
        """A field of ``copy``: the source column of its name, in the target's type."""
        assert column is not None
        value, given = self._source_column(name)
        check_conversion(given, column.type)
        return FieldProgram(
            name=name,
            stage=FieldStage.MAP,
            value=BoundExpression(quote(value)),
            given=given,
            target=column.type,
            blank_is_missing=self._blank_is_missing,
            required=not column.nullable,
            required_rule=f"{name}.required",
        )

    def computed(
        self, name: str, field: Field, column: Column, types: Mapping[str, ColumnType]
    ) -> FieldProgram:
        """A field of ``fields``; ``types`` are those of all target fields."""
        reference = reference_of(self.facts, field)
        target = column.type
        by_source_key = reference is not None and reference.by_source_key
        looked_up = self.facts.specification.looks_up(field)
        if looked_up:
            self._check_key(field)
        value, given = self._value(field, TEXT if by_source_key else target, by_source_key)
        # What changes nothing doesn't turn a number or a date into text either.
        transforms = [step for step in field.transform if step != "direct"]
        if transforms:
            if not is_python_function(transforms[0]):
                value = _as_text(value, given)
            given = TEXT
        used = self.facts.specification.maps.get(field.map) if field.map is not None else None
        if used is not None and not given.is_textual:
            value, given = _as_text(value, given), TEXT
        values = None
        if used is not None and not used.is_gem:
            pairs = (used.values or {}).items()
            values = ValueMap(
                tuple((key, self._unless_blank(to)) for key, to in pairs),
                used.unmapped.action or "default",
                self._unless_blank(used.unmapped.default),
                field.map if looked_up else None,
            )
        required = field.required or not column.nullable
        if field.on_error == "set_null" and required:
            raise FieldProblem(
                ErrorCode.TRANS_004,
                "'on_error: set_null' writes NULL, which the target's column forbids",
                "on_error",
                remedy="remove 'on_error', or let the column be NULL",
            )
        reading = reading_of(field, self._started_at if field.century == "past" else None)
        told, dated = coded_in(self.scope, field.coded_in), coded_on(self.scope, field.coded_on)
        # Where one of them has failed, the code can't be judged.
        read = dict.fromkeys(
            name for e in (value, told, dated) if e is not None for name in e.fields
        )
        value = replace(value, fields=tuple(read))
        program = FieldProgram(
            name=name,
            stage=FieldStage.MAP,
            value=value,
            given=given,
            target=target,
            transforms=tuple(TRANSFORMATIONS.get(step, step) for step in transforms),
            blank_is_missing=self._blank_is_missing,
            values=values,
            key_parts=self._key_parts(field, transforms) if looked_up else (),
            gem=field.map if used is not None and used.is_gem else None,
            coded_in=told,
            coded_on=dated,
            into=self._into(field, types),
            into_required=self._into_required(field),
            declared=declared_type(field, TEXT if by_source_key else target),
            reading=reading,
            default=self._default(field, TEXT if by_source_key else target, reading),
            required=required,
            required_rule=field.rule or f"{name}.required",
            nulls_errors=field.on_error == "set_null",
            reference=reference,
        )
        self._check_types(field, program)
        return program

    @property
    def _started_at(self) -> datetime:
        moment = evaluate_scalar(self.scope.constants["started_at"])
        assert isinstance(moment, datetime)
        return moment

    @property
    def _blank_is_missing(self) -> bool:
        return self.facts.specification.blank_is_missing(self.facts.load)

    def _unless_blank(self, text: str | None) -> str | None:
        """What a map gives: blank text is missing there as it is in a source."""
        blank = self._blank_is_missing and text is not None and not text.strip(BLANKS)
        return None if blank else text

    # -- the value -----------------------------------------------------------------------------

    def _value(
        self, field: Field, target: ColumnType, by_source_key: bool
    ) -> tuple[BoundExpression, ColumnType]:
        if field.from_ is not None:
            columns = [self._source_column(name) for name in field.from_]
            if not by_source_key or self.facts.specification.looks_up(field):
                value, given = columns[0]
                return BoundExpression(quote(value)), given
            parents = identifying_types(self.facts, field)
            for (_, kind), parent in zip(columns, parents, strict=True):
                if kind.is_bytes and not (parent is not None and parent.is_bytes):
                    error = unnamed_encoding(kind, parent or TEXT)
                    raise FieldProblem(ErrorCode.TRANS_004, str(error), "from", remedy=error.remedy)
            text = reference_text(columns, parents)
            if len(columns) > 1:
                # As in a foreign key of SQL, a reference without one of its parts is none.
                absent = " OR ".join(self._absent(quote(name), kind) for name, kind in columns)
                text = f"CASE WHEN NOT ({absent}) THEN {text} END"
            return BoundExpression(text), TEXT
        if field.sql is not None:
            return self._expression(field.sql, target)
        if field.const is not None or "const" in field.model_fields_set:
            text = "NULL::VARCHAR" if field.const is None else literal(field.const)
            return BoundExpression(text), TEXT
        if field.system == "source_key":
            return BoundExpression(quote("_source_key")), TEXT
        if field.system == "started_at":
            moment = self.scope.constants["started_at"]
            if target.name in ("timestamp", "date"):
                moment = f"timezone('UTC', {moment})"
                if target.name == "date":
                    return BoundExpression(f"CAST({moment} AS DATE)"), ColumnType("date", "date")
                return BoundExpression(moment), ColumnType("timestamp", "timestamp")
            return BoundExpression(moment), ColumnType("timestamptz", "timestamptz")
        return BoundExpression(self.scope.constants["job"]), TEXT

    def _expression(self, text: str, target: ColumnType) -> tuple[BoundExpression, ColumnType]:
        column = self._numeric_itself(text)
        if column is not None:
            return column
        try:
            bound, described = self.scope.bind(text, "src")
            given, sql = result_type(described, bound.sql, bound.digits)
        except UnboundExpression as unbound:
            first, *others = [
                FieldProblem(code, problem, "sql", remedy=remedy)
                for code, problem, remedy in unbound.problems
            ]
            first.others = tuple(others)
            raise first from None
        except Unconvertible as error:
            raise FieldProblem(ErrorCode.TRANS_004, str(error), "sql") from None
        if given.is_computed and given.name == "numeric":
            check_conversion(given, target, below="sql")
        inexact = bound.inexact
        shows_digits = given.name in ("numeric", "float4", "float8")
        shows_digits |= given.is_integer or given.is_textual
        if shows_digits and target.name not in ("float4", "float8"):
            inexact += bound.overlong
        return BoundExpression(sql, inexact, bound.fields, risky=True), given

    def _numeric_itself(self, text: str) -> tuple[BoundExpression, ColumnType] | None:
        """A numeric column that an expression gives as it is: with all of its digits."""
        try:
            name = parse_expression(text).column
            column, kind = self.scope.resolve(name or (), "src")
        except (ExpressionError, IndexError):
            return None
        if kind.name != "numeric":
            return None
        fields = (column.removeprefix("out."),) if column.startswith("out.") else ()
        return BoundExpression(quote(column), (), fields, risky=True), kind

    def _check_key(self, field: Field) -> None:
        """A field gives as many values as the key of its lookup table has parts."""
        table = self.facts.lookups.get(field.map or "")
        given = len(field.from_ or (field.origin,))
        if table is not None and given != len(table.keys):
            raise FieldProblem(
                ErrorCode.SYS_004,
                f"a key of the map '{field.map}' has {len(table.keys)} columns, of which this"
                f" gives {given}",
                "from" if field.from_ else "map",
                remedy="name as many columns in 'from', in the order of the map's",
            )

    def _key_parts(self, field: Field, transforms: Sequence[str]) -> tuple[BoundExpression, ...]:
        """The further parts of the key that a field looks up, as text unless a Python function
        takes them first."""
        found = []
        for name in (field.from_ or [])[1:]:
            column, given = self._source_column(name)
            part = BoundExpression(quote(column))
            python = bool(transforms) and is_python_function(transforms[0])
            found.append(part if python else _as_text(part, given))
        return tuple(found)

    def _absent(self, value: str, kind: ColumnType) -> str:
        if kind.is_textual and self._blank_is_missing:
            return f"coalesce(trim({value}, {BLANKS_SQL}), '') = ''"
        return f"{value} IS NULL"

    def _source_column(self, name: str) -> tuple[str, ColumnType]:
        try:
            return self.scope.source_column(name)
        except UnknownName as error:
            remedy = known_columns(self.scope.source, self.facts.load)
            raise FieldProblem(ErrorCode.TRANS_001, str(error), "from", remedy=remedy) from None

    # -- types ---------------------------------------------------------------------------------

    def _check_types(self, field: Field, program: FieldProgram) -> None:
        """Holds everything that is known before a row is read against the target's type."""
        given = TEXT if program.values is not None or program.gem is not None else program.given
        declared = program.declared
        if not program.is_raw:
            check_conversion(given, declared or program.target, program.reading)
        elif declared is not None and program.gem is None:
            check_conversion(given, declared, program.reading)
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
            self._check_text(field.const, program, "const", "the constant")
        if program.values is not None:
            for key, text in program.values.pairs:
                if text is not None:
                    self._check_text(
                        text, program, "map", f"the value that the map has for '{key}'"
                    )
            if program.values.default is not None:
                self._check_text(program.values.default, program, "map", "the map's default")

    def _check_text(self, text: str, program: FieldProgram, below: str, what: str) -> None:
        if program.is_raw:
            return
        if why_unfit(text, program.target, program.declared, program.reading) is not None:
            raise FieldProblem(
                ErrorCode.TRANS_004,
                f"{what} doesn't fit {program.target}",
                below,
                remedy="correct it",
            )

    def _default(self, field: Field, target: ColumnType, reading: Reading) -> str | None:
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

    def _into(
        self, field: Field, types: Mapping[str, ColumnType]
    ) -> tuple[tuple[str, str, ColumnType], ...]:
        found = []
        for column, attribute in field.into.items():
            kind = types.get(column)
            if kind is None:
                continue
            fits = kind.is_integer if attribute == "cluster_seq" else kind.is_textual
            if not fits:
                wanted = "an integer" if attribute == "cluster_seq" else "text"
                raise FieldProblem(
                    ErrorCode.TRANS_004,
                    f"'{attribute}' is {wanted}, the target's column '{column}' is {kind}",
                    "into",
                    column,
                )
            found.append((column, attribute, kind))
        return tuple(found)

    def _into_required(self, field: Field) -> tuple[str, ...]:
        """The columns of ``into`` that the target doesn't let be NULL."""
        table = self.facts.table
        columns = [table.column(name) for name in field.into]
        return tuple(c.name for c in columns if c is not None and not c.nullable)


def _and_zone(declared: ColumnType, target: ColumnType) -> str:
    """What a type needs beside it, lest the next error asks for it."""
    if "timestamptz" not in (declared.name, target.name):
        return ""
    return ", and beside it 'zone: Europe/Berlin' (the zone of the local times)"


def _as_text(value: BoundExpression, given: ColumnType) -> BoundExpression:
    if given.is_textual:
        return value
    if given.is_computed:
        raise FieldProblem(
            ErrorCode.TRANS_004,
            "the expression computes a number without fixed digits, and text is needed here",
            "sql",
            remedy="write CAST(round(NUMBER, 2) AS DECIMAL(38,2)), with the decimals it is to have",
        )
    check_conversion(given, TEXT)
    text = convert(value.sql, given, TEXT).value
    return BoundExpression(text, value.inexact, value.fields, value.risky)
