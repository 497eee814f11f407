"""Skips and rules: conditions on a row, evaluated for a whole batch at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import ColumnType
from schemas.errors import ErrorCode
from schemas.sql.expressions import quote
from schemas.violations import ORDINAL, Violation, concat_violations, violations_of
from transforms.model.bound_expression import BoundExpression
from transforms.model.program import SKIP
from transforms.model.row_conditions import RuleProgram, SkipProgram
from transforms.sql.duckdb_engine import RaisedOnRow, evaluate_each, one_array, select
from transforms.sql.exposure import expose
from transforms.sql.lost_values import NULLED, UNKNOWN, lost_columns
from transforms.sql.memberships import with_memberships
from transforms.sql.python_functions import RAISED


def apply_skips(
    rows: pa.RecordBatch, skips: Sequence[SkipProgram], types: dict[str, ColumnType]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Fills ``_skip`` (string) with the name of the first condition that is true.

    Rows that have a skip already keep it. A condition isn't applied to a row in which something
    that it reads has failed, is lost, or is set to NULL by an error: the skip would remove the
    violation that says so.

    Args:
        rows: candidates with ``_skip``.
        skips: conditions, the first of which that is true gives its name.
        types: PostgreSQL types of the columns that expressions can read.

    Returns:
        The rows, and violations (VIOLATION_SCHEMA): TRANS-005 where a condition raises.
    """
    violations = []
    verdict = rows.column(SKIP)
    for skip, (holds, raised) in zip(
        skips, _evaluate(rows, [s.condition for s in skips], types, UNKNOWN + NULLED), strict=True
    ):
        violation = Violation(ErrorCode.TRANS_005, skip.name, None, RAISED)
        violations.append(violations_of(rows.column(ORDINAL).filter(raised), violation))
        taken = pc.and_(pc.fill_null(holds, False), pc.is_null(verdict))
        verdict = pc.if_else(taken, skip.name, verdict)
    index = rows.schema.get_field_index(SKIP)
    return rows.set_column(index, SKIP, verdict), concat_violations(violations)


def check_rules(
    rows: pa.RecordBatch, rules: Sequence[RuleProgram], types: dict[str, ColumnType]
) -> pa.RecordBatch:
    """Checks rules: a rule fails where it is false, not where it is NULL.

    A rule isn't applied to a row in which something that it reads has failed or is lost.

    Args:
        rows: candidates.
        rules: boolean SQL over their columns.
        types: PostgreSQL types of the columns that expressions can read.

    Returns:
        Violations (VIOLATION_SCHEMA): the code of a rule for each row that fails it, TRANS-005
        for each row on which a rule raises.
    """
    violations = []
    rows = with_memberships(rows, [m for rule in rules for m in rule.memberships])
    for rule, (holds, raised) in zip(
        rules, _evaluate(rows, [r.check for r in rules], types, UNKNOWN), strict=True
    ):
        ordinals = rows.column(ORDINAL)
        if pc.min(holds).as_py() is False:
            failed = pc.fill_null(pc.invert(holds), False)
            violation = Violation(
                rule.code, rule.name, _only(rule.check.fields), None, rule.warning
            )
            violations.append(violations_of(ordinals.filter(failed), violation))
        if pc.any(raised).as_py():
            violation = Violation(ErrorCode.TRANS_005, rule.name, _only(rule.check.fields), RAISED)
            violations.append(violations_of(ordinals.filter(raised), violation))
    return concat_violations(violations)


def _only(fields: Sequence[str]) -> str | None:
    return fields[0] if len(fields) == 1 else None


def _evaluate(
    rows: pa.RecordBatch,
    conditions: Sequence[BoundExpression],
    types: dict[str, ColumnType],
    marks: tuple[str, ...],
) -> list[tuple[pa.Array, pa.Array]]:
    """Evaluates conditions row by row.

    Args:
        rows: candidates.
        conditions: boolean SQL over their columns.
        types: PostgreSQL types of the columns that expressions can read.
        marks: prefixes of the columns (``lost_values``) under which a value isn't to be used.

    Returns:
        For each condition its value (bool) and whether it raised (bool). The value is NULL where
        it raised, where a field that it reads has failed, and where one of ``marks`` applies.
    """
    if not conditions:
        return []
    results = _query_conditions(rows, conditions, types, _unknown_where(rows, conditions, marks))
    nothing = pa.repeat(False, rows.num_rows)

    def mask(name: str) -> pa.Array:
        if name not in results.column_names:
            return nothing
        array = one_array(results.column(name), pa.bool_())
        return array if pc.any(array).as_py() else nothing

    evaluated = []
    for position in range(len(conditions)):
        value = one_array(results.column(str(position)), pa.bool_())
        raised, unknown = mask(f"r{position}"), mask(f"u{position}")
        if raised is not nothing or unknown is not nothing:
            value = pc.if_else(pc.or_(raised, unknown), pa.scalar(None, pa.bool_()), value)
            raised = pc.and_(raised, pc.invert(unknown))
        evaluated.append((value, raised))
    return evaluated


def _unknown_where(
    rows: pa.RecordBatch, conditions: Sequence[BoundExpression], marks: tuple[str, ...]
) -> dict[int, str]:
    """SQL that says in which rows a condition, by its position, can't be known."""
    failed = {f for c in conditions for f in c.fields if pc.any(rows.column(f"bad.{f}")).as_py()}
    causes = {
        i: [f"bad.{f}" for f in c.fields if f in failed]
        + lost_columns(rows.schema.names, [c], marks)
        for i, c in enumerate(conditions)
    }
    return {i: _any(map(_holds, names)) for i, names in causes.items() if names}


def _query_conditions(
    rows: pa.RecordBatch,
    conditions: Sequence[BoundExpression],
    types: dict[str, ColumnType],
    unknown: dict[int, str],
) -> pa.Table:
    """Evaluates conditions in one query, a second time guarded if one of them raises.

    Returns:
        Bool columns: by the number of a condition its value, ``rN`` whether it raised, ``uN``
        whether it is ``unknown``; of the latter two only those that can be true.
    """
    source = expose("batch", rows.schema.names, types)
    plain = [f"({c.sql})::BOOLEAN AS {quote(str(i))}" for i, c in enumerate(conditions)]
    raising = {i: _any(f"({s})" for s in c.inexact) for i, c in enumerate(conditions) if c.inexact}
    others = [f"{sql} AS {quote(f'u{i}')}" for i, sql in unknown.items()]
    try:
        raised = [f"{sql} AS {quote(f'r{i}')}" for i, sql in raising.items()]
        return evaluate_each(select([*plain, *raised, *others], source), rows)
    except RaisedOnRow:
        tried = [f"try([({c.sql})::BOOLEAN])" for c in conditions]
        guarded = [f"{t}[1] AS {quote(str(i))}" for i, t in enumerate(tried)]
        raised = [
            f"{raising.get(i, 'false')} OR {t} IS NULL AS {quote(f'r{i}')}"
            for i, t in enumerate(tried)
        ]
        return evaluate_each(select([*guarded, *raised, *others], source), rows, guarded=True)


def _any(conditions: Iterable[str]) -> str:
    return f"({' OR '.join(conditions)})"


def _holds(column: str) -> str:
    return f"coalesce({quote(column)}, false)"
