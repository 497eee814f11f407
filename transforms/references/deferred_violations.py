"""The statement that records violations of open references, and its values."""

from __future__ import annotations

from typing import Any

from schemas.messages import message_of
from schemas.violations import Violation

_INSERT = (
    "INSERT INTO {errors} (job_id, error_code, error_type, category, severity,"
    " rule_id, reason, load, source_table, target_table, partition_id, source_key,"
    " target_key, field, message, root_cause_id, warning, referenced, attempts,"
    " first_attempt)"
    " SELECT DISTINCT ON (o.partition_id, o.source_key)"
    " %(job)s, %(code)s, %(type)s, %(category)s, %(severity)s, %(rule)s,"
    " CASE WHEN c.id IS NULL THEN %(reason)s ELSE 'parent_rejected' END, %(load)s,"
    " %(source)s, %(target)s, o.partition_id, o.source_key,"
    " o.target_key ->> %(key)s, %(named)s,"
    " CASE WHEN c.id IS NULL THEN %(message)s ELSE %(because)s END, c.id, %(warning)s,"
    " true, a.attempt, a.attempt FROM {open} o"
    # In a replay the row has been judged before, and what is open has counted this attempt.
    " CROSS JOIN LATERAL (SELECT greatest(1, max(x.attempts + CASE x.status"
    "  WHEN 'replayed' THEN 1 ELSE 0 END)) AS attempt"
    "  FROM {errors} x WHERE x.referenced AND x.job_id = %(job)s AND x.load = %(load)s"
    "  AND x.source_key = o.source_key AND x.partition_id = o.partition_id"
    "  AND x.status <> 'discarded') AS a"
    " LEFT JOIN LATERAL (SELECT x.id FROM {errors} x WHERE {cause}"
    " ORDER BY x.rule_id = 'key.duplicate', x.id LIMIT 1) AS c ON true"
)


def insert_violations(condition: str) -> str:
    """The statement that adds one violation a row to the error sink.

    Args:
        condition: SQL on the open references, called ``o``.

    Returns:
        A template over the parts of ``OpenReferences`` and ``cause``, with the parameters of
        ``values_of`` and those of the load. It returns the partition of each violation.
    """
    return (
        f"{_INSERT} WHERE {condition} ORDER BY o.partition_id, o.source_key RETURNING partition_id"
    )


def values_of(violation: Violation) -> dict[str, Any]:
    """The parameters of ``insert_violations`` that describe a violation."""
    code = violation.code
    message, because = (
        message_of(code.value, violation.rule, violation.field, reason)
        for reason in (violation.reason, "parent_rejected")
    )
    return {
        "code": code.value,
        "type": code.error_type,
        "category": code.category.value,
        "severity": code.severity.label,
        "rule": violation.rule,
        "named": violation.field,
        "reason": violation.reason,
        "message": message,
        "because": because,
        "warning": violation.warning,
    }
