"""Skips and rules: conditions on a row, evaluated for a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import ColumnType
from schemas.errors import ErrorCode
from schemas.expressions import quote
from schemas.violations import ORDINAL, Finding, concat_violations, violations_of
from transforms.mapping.engine import RaisedOnRow, evaluate, one_array
from transforms.mapping.exposure import exposed
from transforms.mapping.program import SKIP, BoundExpression, RuleProgram, SkipProgram
from transforms.mapping.python_functions import RAISED


def apply_skips(
    rows: pa.RecordBatch, skips: Sequence[SkipProgram], types: dict[str, ColumnType]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Fills ``_skip`` (string) with the name of the first condition that is true.

    Rows that have a skip already keep it. Returns the rows and TRANS-005 for those on
    which a condition raises.
    """
    found = []
    verdict = rows.column(SKIP)
    for skip, (holds, raised) in zip(
        skips, _evaluated(rows, [s.condition for s in skips], types), strict=True
    ):
        finding = Finding(ErrorCode.TRANS_005, skip.name, None, RAISED)
        found.append(violations_of(rows.column(ORDINAL).filter(raised), finding))
        taken = pc.and_(pc.fill_null(holds, False), pc.is_null(verdict))
        verdict = pc.if_else(taken, skip.name, verdict)
    index = rows.schema.get_field_index(SKIP)
    return rows.set_column(index, SKIP, verdict), concat_violations(found)


def check_rules(
    rows: pa.RecordBatch, rules: Sequence[RuleProgram], types: dict[str, ColumnType]
) -> pa.RecordBatch:
    """The violations of the rules: a rule fails where it is false, not where it is NULL.

    A rule isn't applied to a row in which a field that it reads has failed. TRANS-005 for
    rows on which a rule raises.
    """
    found = []
    for rule, (holds, raised) in zip(
        rules, _evaluated(rows, [r.check for r in rules], types), strict=True
    ):
        ordinals = rows.column(ORDINAL)
        failed = pc.fill_null(pc.invert(holds), False)
        finding = Finding(rule.code, rule.name, _only(rule.check.fields), None, rule.warning)
        found.append(violations_of(ordinals.filter(failed), finding))
        finding = Finding(ErrorCode.TRANS_005, rule.name, _only(rule.check.fields), RAISED)
        found.append(violations_of(ordinals.filter(raised), finding))
    return concat_violations(found)


def _only(fields: Sequence[str]) -> str | None:
    return fields[0] if len(fields) == 1 else None


def _evaluated(
    rows: pa.RecordBatch, conditions: Sequence[BoundExpression], types: dict[str, ColumnType]
) -> list[tuple[pa.Array, pa.Array]]:
    """For each condition its value (bool) and whether it raised (bool), row by row."""
    if not conditions:
        return []
    source = exposed("batch", rows.schema.names, types)
    plain = [f"({c.sql})::BOOLEAN AS {quote(str(i))}" for i, c in enumerate(conditions)]
    plain += [f"{_inexact(c)} AS {quote(f'r{i}')}" for i, c in enumerate(conditions)]
    plain += [f"{_unknown(c)} AS {quote(f'u{i}')}" for i, c in enumerate(conditions)]
    try:
        found = evaluate(f"SELECT {', '.join(plain)} FROM {source}", rows)
    except RaisedOnRow:
        tried = [f"try([({c.sql})::BOOLEAN])" for c in conditions]
        guarded = [f"{t}[1] AS {quote(str(i))}" for i, t in enumerate(tried)]
        guarded += [
            f"{_inexact(c)} OR {tried[i]} IS NULL AS {quote(f'r{i}')}"
            for i, c in enumerate(conditions)
        ]
        guarded += plain[2 * len(conditions) :]
        found = evaluate(f"SELECT {', '.join(guarded)} FROM {source}", rows)
    results = []
    for position in range(len(conditions)):
        value = one_array(found.column(str(position)), pa.bool_())
        raised = one_array(found.column(f"r{position}"), pa.bool_())
        unknown = one_array(found.column(f"u{position}"), pa.bool_())
        value = pc.if_else(pc.or_(raised, unknown), pa.scalar(None, pa.bool_()), value)
        results.append((value, pc.and_(raised, pc.invert(unknown))))
    return results


def _inexact(condition: BoundExpression) -> str:
    return "(" + (" OR ".join(f"({c})" for c in condition.inexact) or "false") + ")"


def _unknown(condition: BoundExpression) -> str:
    failed = [f"coalesce({quote(f'bad.{f}')}, false)" for f in condition.fields]
    return "(" + (" OR ".join(failed) or "false") + ")"
