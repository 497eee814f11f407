"""Rules over several rows: which rows of a load belong together, and on which a rule fails."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from schemas.sql.expressions import quote
from schemas.violations import ORDINAL, Violation, concat_violations, violations_of
from transforms.keys.candidate_rows import first_rows
from transforms.keys.source_keys import source_keys
from transforms.mapping.stages import types_of
from transforms.model.program import SKIP, LoadProgram
from transforms.model.row_conditions import GroupRuleProgram
from transforms.sql.duckdb_engine import evaluate, evaluate_each, one_array, one_batch, select
from transforms.sql.exposure import expose


def grouped_rows(
    rows: pa.RecordBatch, program: LoadProgram, rule: GroupRuleProgram, partition_id: str
) -> pa.RecordBatch:
    """The candidates that a rule compares: those that aren't skipped and belong to a group. Those
    of which a field has failed by which they are grouped belong to none, nor do those with a number
    that isn't exact here.

    Columns: key (string, a digest of what they are grouped by), hash (uint64), partition
    (string), ordinal (int32), source_key (string), and the values ``v0``, ``v1``, ... A candidate
    of several rows counts once, by the first of them.
    """
    types = types_of(program)
    rows = first_rows(rows.filter(pc.is_null(rows.column(SKIP))))
    by = ", ".join(expression.sql for expression in rule.by)
    # Of a field that has failed nothing is known.
    values = [_unless_failed(expression.sql, expression.fields) for expression in rule.values]
    selected = [f"{value} AS {quote(f'v{n}')}" for n, value in enumerate(values)]
    conditions = [f"NOT ({_has_failed(e.fields)})" for e in rule.by if e.fields]
    conditions += [f"NOT ({condition})" for e in rule.by for condition in e.inexact]
    if not rule.with_nulls:
        conditions += [f"({e.sql}) IS NOT NULL" for e in rule.by]
    whole = " AND ".join(conditions) or "true"
    key = f"md5(CAST(to_json([{by}]) AS VARCHAR))"
    own = (f"{key} AS key", f"hash({key}) AS hash", f"coalesce({whole}, false) AS whole")
    source = expose("batch", rows.schema.names, types)
    result = evaluate_each(select((*own, *selected), source), rows)
    columns = {
        "key": one_array(result.column("key"), pa.string()),
        "hash": one_array(result.column("hash"), pa.uint64()),
        "partition": pa.repeat(partition_id, len(rows)),
        "ordinal": rows.column(ORDINAL),
        "source_key": source_keys(rows, program, partition_id),
    }
    for n in range(len(values)):
        column = result.column(f"v{n}")
        columns[f"v{n}"] = one_array(column, column.type)
    return pa.RecordBatch.from_pydict(columns).filter(one_array(result.column("whole"), pa.bool_()))


def failing_rows(rows: pa.RecordBatch, rule: GroupRuleProgram) -> pa.RecordBatch:
    """The candidates on which a rule fails, as (partition, ordinal, source_key, claim).

    ``rows`` as ``grouped_rows`` gives them, with all candidates of each group among them.
    """
    order = "v0, " if rule.values else ""
    query = (
        f'SELECT "partition", ordinal, source_key, claim FROM (SELECT *, {_claim(rule)} AS claim,'
        f" ({rule.fails}) AS fails FROM batch WINDOW g AS (PARTITION BY key),"
        f' ordered AS (PARTITION BY key ORDER BY {order}"partition", ordinal))'
        ' WHERE fails ORDER BY "partition", ordinal'
    )
    return one_batch(evaluate(query, rows))


def group_claims(
    rows: pa.RecordBatch, program: LoadProgram, rule: GroupRuleProgram, partition_id: str
) -> dict[int, str]:
    """A digest of what each candidate (by ordinal) is compared by."""
    compared = grouped_rows(rows, program, rule, partition_id)
    result = evaluate_each(select(("ordinal", f"{_claim(rule)} AS claim")), compared)
    return dict(zip(*(result.column(c).to_pylist() for c in ("ordinal", "claim")), strict=True))


def group_warnings(program: LoadProgram, failing: dict[str, list[int]]) -> pa.RecordBatch:
    """The warnings of rules over several rows: ``failing`` are ordinals by the rule's name."""
    return concat_violations(
        violations_of(
            pa.array(sorted(failing.get(rule.name, [])), pa.int32()),
            Violation(rule.code, rule.name, None, rule.reason, warning=True),
        )
        for rule in program.group_rules
    )


def _claim(rule: GroupRuleProgram) -> str:
    values = "".join(f", coalesce(v{n}::VARCHAR, '~'), ' '" for n in range(len(rule.values)))
    return f"md5(concat(key, ' '{values}))"


def _unless_failed(sql: str, fields: tuple[str, ...]) -> str:
    return f"CASE WHEN {_has_failed(fields)} THEN NULL ELSE {sql} END" if fields else sql


def _has_failed(fields: tuple[str, ...]) -> str:
    return " OR ".join(f"coalesce({quote(f'bad.{field}')}, false)" for field in fields)
