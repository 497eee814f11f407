"""Compiles the columns that say in which revision of the ICD the code of a row is written."""

from __future__ import annotations

from schemas.blanks import BLANKS_SQL
from schemas.code_maps.row_systems import CUTOVER
from schemas.column_types import DATE, TEXT
from schemas.errors import ErrorCode
from schemas.ready_rules.codes import icd_version
from schemas.ready_rules.operands import Family, Operand, before, earliest_day, not_after
from schemas.sql.expressions import quote
from transforms.compiling.load_facts import FieldProblem
from transforms.compiling.scope import Scope, UnknownName, parts_of
from transforms.model.bound_expression import BoundExpression


def named_revision(scope: Scope, name: str | None) -> BoundExpression | None:
    """The revision that the column ``name`` names: 9 or 10, 0 for another, NULL for none.

    Raises FieldProblem: TRANS-001 for a name that isn't there, TRANS-004 for a type without codes.
    """
    if name is None:
        return None
    operand = _operand(scope, name, Family.VALUE, "coded_in")
    system = f"nullif(trim({operand.text}, {BLANKS_SQL}), '')"
    revision = f"coalesce({icd_version(Operand(system, TEXT))}, 0)"
    return _bind(scope, f"CASE WHEN {system} IS NOT NULL THEN {revision} END")


def revision_in_force(scope: Scope, name: str | None) -> BoundExpression | None:
    """The revision in force on the date ``name``: 9, or of ICD-10 the fiscal year; NULL where that
    depends on an unknown time zone.

    Raises FieldProblem as ``named_revision`` does.
    """
    if name is None:
        return None
    date = _operand(scope, name, Family.MOMENT, "coded_on")
    start = Operand(f"DATE '{CUTOVER}'", DATE)
    day = earliest_day(date)
    # The fiscal year of the United States begins in October; dates without an end have no year.
    year = f"coalesce(least(year({day}) + CAST(month({day}) >= 10 AS INTEGER), 9999), 9999)"
    return _bind(
        scope,
        f"CASE WHEN NOT ({before(date, start)}) THEN {year}"
        f" WHEN NOT ({not_after(start, date)}) THEN 9 END",
    )


def _operand(scope: Scope, name: str, family: Family, key: str) -> Operand:
    parts = parts_of(name)
    try:
        _, kind = scope.resolve(parts, "src")
    except UnknownName as error:
        names = ", ".join(f"out.{alias}" for alias in scope.taken)
        raise FieldProblem(
            ErrorCode.TRANS_001,
            str(error),
            key,
            remedy="name a source column, or out.NAME for a field or a column that is taken"
            + (f": {names}" if names else ""),
        ) from None
    if not family.takes(kind):
        raise FieldProblem(
            ErrorCode.TRANS_004,
            f"'{name}' is {kind}, and '{key}' takes {family.value}",
            key,
            remedy="name another column, or a field that is converted",
        )
    return Operand(".".join(map(quote, parts)), kind)


def _bind(scope: Scope, text: str) -> BoundExpression:
    bound, _ = scope.bind(text, "src")
    return bound
